"""Finding the folder of a saved model, locally or on the Hub."""

import os
from pathlib import Path
from typing import Any

import torch

from ..downloads.download import DOWNLOAD_KEYWORDS, describe_missing, download_files, find_folder, normal_subfolder
from ..layout import CONFIG, WEIGHTS

# Keywords that locate the model, and those of ModelMixin.from_pretrained (diffusers 0.40 to 0.42), except for
# ignore_mismatched_sizes and output_loading_info, which would switch off a check.
LOADING_KEYWORDS = DOWNLOAD_KEYWORDS | {
    *("subfolder", "variant", "dtype", "torch_dtype", "low_cpu_mem_usage", "disable_mmap"),
    *("device_map", "max_memory", "offload_folder", "offload_state_dict", "use_safetensors", "use_flashpack"),
}


def find_model(name_or_path: str | os.PathLike, kwargs: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a saved model, downloaded if it is on the Hub, and the keywords of `from_folder`.

    Raises:
        ValueError: a keyword that `from_pretrained` does not know; a damaged download.
        OSError: no such folder or repository.
    """
    kwargs = {key: value for key, value in kwargs.items() if value is not None}  # AutoModel of diffusers passes them
    unknown = sorted(set(kwargs) - LOADING_KEYWORDS)
    if unknown:
        raise ValueError(
            f"from_pretrained got unknown keyword {unknown[0]!r}: expected some of {sorted(LOADING_KEYWORDS)}."
        )
    # A diffusers pipeline passes these two.
    if kwargs.pop("use_safetensors", None) not in (None, True) or kwargs.pop("use_flashpack", False):
        raise ValueError("Models are loaded from safetensors only, found use_safetensors=False or use_flashpack=True.")
    _check_dtype(kwargs)
    subfolder, variant = normal_subfolder(kwargs.pop("subfolder", None)), kwargs.get("variant")
    download = {key: kwargs.pop(key) for key in DOWNLOAD_KEYWORDS & set(kwargs)}
    kwargs["verify"] = download.get("verify", True)
    folder = find_folder(name_or_path, subfolder, download.get("revision"))
    ending = "" if variant is None else f".{variant}"
    stem = WEIGHTS.removesuffix(".safetensors")
    weights = [f"{stem}{ending}.safetensors", f"{WEIGHTS}.index{ending}.json"]
    shards = [f"{stem}{ending}-?????-of-?????.safetensors", f"{stem}-?????-of-?????{ending}.safetensors"]
    if folder is None:
        required = [CONFIG, f"{stem}{ending and f'*{ending}'}*.safetensors"]
        patterns = [CONFIG, *weights, *shards]
        return download_files(str(name_or_path), patterns, required, subfolder=subfolder, **download), kwargs
    names = [path.name for path in folder.iterdir()]
    for expected, found in ((CONFIG, CONFIG in names), (weights[0], not {*weights}.isdisjoint(names))):
        if not found:
            raise FileNotFoundError(f"The folder {folder} {describe_missing(expected, names)}")
    return folder, kwargs


def _check_dtype(kwargs: dict[str, Any]) -> None:
    """Refuse a dtype that diffusers would replace by float32."""
    given = [key for key in ("dtype", "torch_dtype") if kwargs.get(key) is not None]
    if len(given) > 1:
        raise ValueError("from_pretrained expects dtype or torch_dtype, found both.")
    for key in given:
        if not isinstance(kwargs[key], torch.dtype):
            raise ValueError(f"{key} expects a torch.dtype such as torch.float16, found {kwargs[key]!r}.")
