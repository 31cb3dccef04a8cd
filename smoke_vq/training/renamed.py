"""Former names of arguments, which configuration files, flags and the folders of older runs may still use.

Arguments that were removed are accepted with their former default.
"""

from typing import Any

RENAMED = {
    "checkpoint_every": "checkpointing_epochs",
    "checkpoint_steps": "checkpointing_steps",
    "codebook_weight": "quantizer_loss_weights.codebook",
    "commitment_weight": "quantizer_loss_weights.commitment",
    "hub_private": "hub_private_repo",
    "keep_checkpoints": "checkpoints_total_limit",
    "log_every": "logging_steps",
    "max_train_frames": "max_train_samples",
    "max_validation_frames": "max_validation_samples",
    "num_workers": "dataloader_num_workers",
    "revive_every": "revival_steps",
    "validate_every": "validation_epochs",
}
# Of a run whose arguments have the former names; they name both weights.
FORMER_LOSS_WEIGHTS = {"commitment": 0.1, "codebook": 1.0}
RESUME = "resume"  # true is now resume_from_checkpoint: latest
SWITCH = dict.fromkeys(("true", "yes", "t", "y", "1"), "latest") | dict.fromkeys(("false", "no", "f", "n", "0"))
REMOVED = {"streaming": False, "frames_per_epoch": None}  # former defaults, which are ignored


def rename_keys(values: dict[str, Any]) -> dict[str, Any]:
    """The entries of a configuration under their current names."""
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        if key in REMOVED:
            _check_removed(key, value)
            continue
        name, _, entry = RENAMED.get(key, str(key)).partition(".")
        if key == RESUME:
            name, value = "resume_from_checkpoint", SWITCH.get(str(value).lower(), value)
        value = {entry: value} if entry else value
        renamed[name] = _merge(name, renamed[name], value) if name in renamed else value
    return renamed


def _merge(name: str, first: Any, second: Any) -> Any:
    """The value of a name that occurs twice: the same one, or mappings that do not contradict each other."""
    if isinstance(first, dict) and isinstance(second, dict):
        if all(first.get(key, value) == value for key, value in second.items()):
            return first | second
    elif first == second:
        return first
    raise ValueError(f"{name} is set twice, once under a former name, to {first!r} and to {second!r}: keep one.")


def rename_flags(argv: list[str]) -> list[str]:
    """A command line with the current names of its flags; flags and values are separate words."""
    renamed: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name = word[2:].replace("-", "_") if word.startswith("--") else ""
        if name == RESUME:
            value = SWITCH[words.pop(0).lower() if words and words[0].lower() in SWITCH else "true"]
            renamed += ["--resume_from_checkpoint", value] if value else []
        elif name in REMOVED:
            value = words.pop(0) if words and not words[0].startswith("--") else "true"
            _check_removed(name, False if value.lower() == "false" else value)
        else:
            renamed.append(f"--{RENAMED[name]}" if name in RENAMED else word)
    return renamed


def _check_removed(name: str, value: Any) -> None:
    if value != REMOVED[name]:
        raise ValueError(f"{name} was removed (found {value!r}): set packed to false for data larger than memory.")
