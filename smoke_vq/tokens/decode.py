"""A dataset folder of codes back to a dataset folder of frames."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..layout import CARD, DATA
from ..preparation.folder import open_output_folder, parquet, png, write_card
from ..preparation.jobs import run_jobs
from .encode import FILES
from .files import open_file, read_code_settings

if TYPE_CHECKING:
    from ..data.processor import SmokeImageProcessor

_TEMPLATE = Path(__file__).with_name("decoded_card.md")


def decode_dataset(
    model: nn.Module,
    processor: "SmokeImageProcessor",
    input_dir: str | Path,
    output_dir: str | Path,
    *,
    batch_size: int = 256,
    rank: int = 0,
    world_size: int = 1,
) -> None:
    """Write the frames of codes that `encode_dataset` wrote: the images of `model.decode_indices`, rounded to 8 bits.

    Columns: `image`, and those of the input other than `indices` and `latents`. Files that exist are kept, so that the
    same call continues an interrupted run.

    Args:
        model: an autoencoder with the encoder and codebook that encoded the frames, in eval mode, on its device.
        rank, world_size: which share of the files this process writes. All processes write to the same folder.

    Raises:
        FileNotFoundError: `input_dir` is not a folder of codes.
        ValueError: it was encoded by another encoder or codebook, or is incomplete or damaged.
        OSError: the files cannot be written.
    """
    source = Path(input_dir)
    settings = read_code_settings(source, model)
    digest = settings["encoder"]["sha256"]
    files = {path.name: path for path in sorted((source / DATA).glob("*.parquet"))}
    sizes = {name: open_file(path, digest).metadata.num_rows for name, path in files.items()}
    folder = open_output_folder(output_dir, FILES, {"codes": settings})
    jobs = {name: (model, processor, path, batch_size, digest) for name, path in files.items()}
    run_jobs(_decode_file, folder / DATA, jobs, 1, rank, world_size, sizes, "decode", "frames")
    if rank == 0 and not (folder / CARD).exists():
        sequences = "sequence" in open_file(next(iter(files.values())), digest).schema_arrow.names
        num_rows = {split: facts["rows"] for split, facts in settings["splits"].items()}
        write_card(folder, _TEMPLATE, settings, _features(sequences), num_rows, tags=["smoke"])


@torch.no_grad()
def _decode_file(model: nn.Module, processor: "SmokeImageProcessor", path: Path, batch_size: int, digest: str) -> bytes:
    table = open_file(path, digest).read().to_pydict()
    indices = torch.from_numpy(np.array(table.pop("indices"), dtype=np.int64))
    table.pop("latents", None)
    images: list[np.ndarray] = []
    for batch in indices.split(batch_size):
        images += list(processor.postprocess(model.decode_indices(batch.to(model.device)).sample, "np"))
    columns = zip(*table.values(), strict=True)
    rows = [
        {"image": png(image), **dict(zip(table, row, strict=True))} for image, row in zip(images, columns, strict=True)
    ]
    return parquet(rows, _features("sequence" in table))


def _features(sequences: bool):
    from datasets import Features, Image, Value

    places = {"sequence": Value("int64"), "frame": Value("int32")} if sequences else {}
    return Features({"image": Image(), "row": Value("int64")} | places)
