"""Where a saved model lies, in a folder or on the Hub, and what its config.json says."""

import json
import os
from pathlib import Path
from typing import Any

import torch

from ..downloads.checksums import check_mode
from ..downloads.download import download_model, find_folder, normal_subfolder
from ..layout import CONFIG
from ..version import CONFIG_FORMAT, __version__

# What says where the model lies, and what ModelMixin.from_pretrained reads beside it (diffusers 0.40 to 0.42), without
# what would lift a check of ours (use_safetensors, ignore_mismatched_sizes, output_loading_info).
DOWNLOAD_KEYWORDS = frozenset(("cache_dir", "force_download", "local_files_only", "token", "revision", "verify"))
LOADING_KEYWORDS = DOWNLOAD_KEYWORDS | {
    *("subfolder", "variant", "dtype", "torch_dtype", "low_cpu_mem_usage", "disable_mmap"),
    *("device_map", "max_memory", "offload_folder", "offload_state_dict"),
}


def find_model(where: str | os.PathLike, kwargs: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The folder of a saved model, which is downloaded if `where` names a Hub repository, and the other keywords.

    Raises:
        ValueError: a keyword that `from_pretrained` does not know; a damaged download.
        OSError: no such folder or repository.
    """
    unknown = sorted(set(kwargs) - LOADING_KEYWORDS)
    if unknown:
        raise ValueError(
            f"from_pretrained got unknown keyword {unknown[0]!r}: expected some of {sorted(LOADING_KEYWORDS)}."
        )
    kwargs = dict(kwargs)
    subfolder, variant = normal_subfolder(kwargs.pop("subfolder", None)), kwargs.get("variant")
    check_dtype(kwargs)
    download = {key: kwargs.pop(key) for key in DOWNLOAD_KEYWORDS & set(kwargs)}
    check_mode(download.get("verify", True))
    folder = find_folder(where, subfolder, download.get("revision"))
    if folder is not None:
        if not (folder / CONFIG).is_file():
            raise FileNotFoundError(f"The folder {folder} does not hold {CONFIG}: it is not a saved model.")
        return folder, kwargs
    return download_model(str(where), variant, subfolder=subfolder, **download), kwargs


def check_dtype(kwargs: dict[str, Any]) -> None:
    """Refuse what diffusers would take for float32.

    Raises:
        ValueError: names it.
    """
    given = [key for key in ("dtype", "torch_dtype") if kwargs.get(key) is not None]
    if len(given) > 1:
        raise ValueError("from_pretrained expects dtype or torch_dtype, found both.")
    for key in given:
        if not isinstance(kwargs[key], torch.dtype):
            raise ValueError(f"{key} expects a torch.dtype such as torch.float16, found {kwargs[key]!r}.")


def read_config(folder: Path, where: str | os.PathLike) -> dict[str, Any]:
    """The config.json in `folder`.

    Raises:
        ValueError: it is none of a model's, or a later library wrote what this one would misread.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:  # a UnicodeDecodeError is one
        raise ValueError(f"The config.json of {where} is no valid JSON: {error}.") from error
    if not isinstance(config, dict) or not isinstance(config.get("_class_name"), str):
        raise ValueError(f"The config.json of {where} names no model class: it is no saved model.")
    found, writer = config.get("_smoke_vq_format", 1), config.get("_smoke_vq_version", "an unknown version")
    if found not in range(1, CONFIG_FORMAT + 1):
        raise ValueError(
            f"{where} was saved by smoke_vq {writer} in format {found}: this is smoke_vq {__version__}, which reads "
            f"formats up to {CONFIG_FORMAT}; upgrade smoke_vq to load it."
        )
    return config
