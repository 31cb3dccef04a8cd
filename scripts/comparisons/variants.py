"""The variants of a comparison: files that state how they differ from a base configuration."""

import json
from pathlib import Path
from typing import Any

import yaml

from smoke_vq import SmokeVQVAE
from smoke_vq.preparation.folder import write_atomically
from smoke_vq.registry import choose
from smoke_vq.training import VQVAEArguments
from smoke_vq.training.arguments import options_of
from smoke_vq.training.parsing import read_configuration

FIRST = "vq"  # the variant that the others are compared with, unless they are listed in another order


def read_variants(folders: list[Path], names: list[str] | None, base: Path) -> dict[str, dict[str, Any]]:
    """Complete configurations by name: keys of `model` replace those of the base one by one, all others as a whole.

    Args:
        names: of the files in `folders`, without ending; None for all, FIRST first.

    Raises:
        ValueError: an unknown name, a file that is not a mapping, an unknown key, or a model that cannot be built.
        OSError: a file does not exist.
    """
    files = {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}
    chosen = sorted(files, key=lambda name: name != FIRST) if names is None else list(dict.fromkeys(names))
    common, variants = read_configuration(base), {}
    for name in chosen:
        own = read_configuration(choose(files, name, "variant"))
        variants[name] = common | own | {"model": common.get("model", {}) | own.get("model", {})}
        for key in variants[name].keys() - options_of(VQVAEArguments):
            raise ValueError(f"{files[name]} has the unknown key {key!r}.")
        try:
            SmokeVQVAE(**variants[name]["model"])
        except (ValueError, TypeError) as error:
            raise ValueError(f"{files[name]}: {error}") from error
    return variants


def write_configurations(folder: Path, variants: dict[str, dict[str, Any]], protocol: dict[str, Any]) -> None:
    """Write `folder/NAME.yaml` for each variant and `folder/protocol.json` with what all of them share.

    Raises:
        ValueError: the folder holds another protocol, or another variant of this name.
    """
    texts = {f"{name}.yaml": yaml.safe_dump(variant, sort_keys=False) for name, variant in variants.items()}
    texts["protocol.json"] = json.dumps(protocol, indent=2) + "\n"
    for name, text in texts.items():
        if (folder / name).is_file() and (folder / name).read_text() != text:
            raise ValueError(f"{folder / name} is that of another comparison: choose another --output-dir.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
