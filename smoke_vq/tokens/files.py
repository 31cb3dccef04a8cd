"""Reading a dataset folder of codes, checked to be complete and of one encoder."""

from pathlib import Path
from typing import Any

from torch import nn

from ..layout import CARD, SETTINGS
from ..preparation.settings import read_settings
from .encode import ENCODER_KEY
from .identity import makes_latents


def is_code_folder(path: str | Path) -> bool:
    """Whether `encode_dataset` started this folder."""
    return "encoder" in (read_settings(path) or {})


def check_code_folder(path: str | Path) -> None:
    """Raise a FileNotFoundError unless `encode_dataset` started this folder."""
    if not is_code_folder(path):
        raise FileNotFoundError(f"{path} is not a folder of codes: it has no {SETTINGS} that names an encoder.")


def read_code_settings(folder: Path, autoencoder: nn.Module) -> dict[str, Any]:
    """The settings of a complete folder that `encode_dataset` wrote.

    Raises:
        FileNotFoundError: it is not a folder of codes.
        ValueError: it holds the codes of another encoder or codebook, or is incomplete or damaged.
    """
    check_code_folder(folder)
    settings = read_settings(folder, {"encoder": dict, "splits": dict, "latents": bool})
    if not makes_latents(autoencoder, settings["encoder"].get("sha256")):
        raise ValueError(f"{folder} was encoded by another model than this one ({settings['encoder']}).")
    if not (folder / CARD).is_file():
        raise ValueError(f"{folder} is incomplete: run smoke-vq encode again to continue it.")
    return settings


def open_file(path: Path, digest: str):
    """The Parquet file, checked to be of the encoder with this digest."""
    import pyarrow.parquet
    from pyarrow import ArrowInvalid

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except ArrowInvalid as error:
        raise ValueError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    found = (file.schema_arrow.metadata or {}).get(ENCODER_KEY, b"").decode()
    if found != digest:
        raise ValueError(f"{path} holds codes of another encoder than the other files of its folder.")
    return file
