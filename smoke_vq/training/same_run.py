"""What may change between a run and its resumption."""

from pathlib import Path

# Changes nothing that is computed.
FREE_TO_CHANGE = frozenset(
    [
        "resume",
        "output_dir",
        "run_name",
        "log_every",
        "report_to",
        "project_name",
        "num_workers",
        "keep_checkpoints",
        "checkpoint_every",
        "checkpoint_steps",
        "num_threads",
        "validate_every",
        "max_validation_frames",
        "packed",
        "dataset",  # may move: the fingerprint of the frames tells whether they are the same
        "validation_dataset",
        "perceptual_weights",  # may move
        "push_to_hub",
        "hub_model_id",
        "hub_private",
    ]
)
# What a person changes on purpose: to go on for longer, or past the step at which the loss was lost.
CHANGED_ON_PURPOSE = frozenset(["epochs", "max_steps", "lr", "lr_disc", "max_grad_norm", "mixed_precision"])


def check_same_run(folder: Path, before: dict, now: dict) -> list[str]:
    """Compare the arguments of a run with those of its resumption; return a sentence for each change made on purpose.

    Raises:
        ValueError: another change, with which it would be another run.
    """
    changes = []
    for name, value in now.items():
        if name in FREE_TO_CHANGE or before.get(name, value) == value:
            continue
        if name not in CHANGED_ON_PURPOSE:
            raise ValueError(
                f"The run in {folder} had {name} = {before[name]!r} and cannot go on with {value!r}: set it back, or "
                f"start another run."
            )
        changes.append(f"Going on with {name} = {value!r}, which was {before[name]!r}.")
    return changes
