"""Frames to a dataset folder of codes and, by choice, latents: file by file, by one process or by many."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..data.frames import Frames
from ..layout import CARD, CHECKSUMS, DATA, SETTINGS
from ..preparation.folder import open_output_folder, remove_temporary_files, write_card
from ..preparation.jobs import run_jobs
from .identity import latents_digest

if TYPE_CHECKING:
    from ..data.processor import SmokeImageProcessor

FILES = {SETTINGS, DATA, CARD, CHECKSUMS}
ENCODER_KEY = b"smoke_vq_encoder"  # in the metadata of each Parquet file: the digest of its encoder
_MAX_CODES = 2**16
_TEMPLATE = Path(__file__).with_name("card.md")


def encode_dataset(
    model: nn.Module,
    processor: "SmokeImageProcessor",
    splits: dict[str, Frames],
    output_dir: str | Path,
    *,
    encoder: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    latents: bool = False,
    rows_per_file: int = 4096,
    batch_size: int = 256,
    rank: int = 0,
    world_size: int = 1,
) -> None:
    """Write the codes of each split to `output_dir`, a folder that `datasets.load_dataset` reads.

    Columns: `indices` (h, w) uint16, or (h, w, depth) if a position has several codes; with `latents` also `latents`
    (D, h, w) float16, before quantization; `row`, the row in the split; and, if the frames say which of them follow
    each other, `sequence`, equal for frames that do, and `frame`, the place in the sequence. Files that exist are kept,
    so that the same call continues an interrupted run.

    Args:
        model: an autoencoder in eval mode, on its device.
        encoder, data: facts for the card, such as the names of the model and of the dataset.
        rows_per_file: rows of a Parquet file.
        batch_size: frames encoded at a time.
        rank, world_size: which share of the files this process writes. All processes write to the same folder.

    Raises:
        ValueError: too many codes for uint16; a folder with other files, or started with another encoder or dataset.
        OSError: the files cannot be written.
    """
    if model.quantizer.num_codes > _MAX_CODES:
        raise ValueError(f"uint16 holds {_MAX_CODES:,} codes: found a model with {model.quantizer.num_codes:,}.")
    digest = latents_digest(model)
    settings = {
        "encoder": {"class_name": type(model).__name__, "sha256": digest, **(encoder or {})},
        "data": data or {},
        "splits": {name: {"rows": len(frames), "fingerprint": frames.fingerprint()} for name, frames in splits.items()},
        "latents": latents,
        "rows_per_file": rows_per_file,
    }
    folder = open_output_folder(output_dir, FILES, settings)
    jobs, sizes = {}, {}
    for split, frames in splits.items():
        starts = range(0, len(frames), rows_per_file)
        for number, start in enumerate(starts):
            rows = range(start, min(start + rows_per_file, len(frames)))
            name = f"{split}-{number:05d}-of-{len(starts):05d}.parquet"
            jobs[name] = (model, processor, frames, rows, latents, batch_size, digest)
            sizes[name] = len(rows)
    run_jobs(_encode_rows, folder / DATA, jobs, 1, rank, world_size, sizes, "encode", "frames")
    if rank == 0 and not (folder / CARD).exists():
        (grid, latent_shape), sequences = _shapes(model), all(f.sequences is not None for f in splits.values())
        features = _features(grid, latent_shape if latents else None, sequences)
        values = {**settings, "grid": grid, "num_codes": model.quantizer.num_codes, "sequences": sequences}
        num_rows = {name: len(frames) for name, frames in splits.items()}
        write_card(
            folder, _TEMPLATE, values, features, num_rows, tags=["smoke", "tokens"], pretty_name="Codes of smoke"
        )
        remove_temporary_files(folder, FILES)


@torch.no_grad()
def _encode_rows(
    model: nn.Module,
    processor: "SmokeImageProcessor",
    frames: Frames,
    rows: range,
    latents: bool,
    batch_size: int,
    digest: str,
) -> bytes:
    """The content of one Parquet file."""
    columns: dict[str, list] = {"indices": []} | ({"latents": []} if latents else {})
    for start in range(rows.start, rows.stop, batch_size):
        images = frames.__getitems__(range(start, min(start + batch_size, rows.stop)))["image"]
        output = model.encode(processor.to_pixel_values(images.to(model.device)))
        columns["indices"] += list(output.indices.cpu().numpy().astype(np.uint16))
        if latents:
            columns["latents"] += list(output.latents.half().cpu().numpy())
    values: dict[str, Any] = {**columns, "row": list(rows)}
    if frames.sequences is not None:
        sequence, place = frames.sequences[rows.start : rows.stop], _places(frames.sequences)[rows.start : rows.stop]
        values |= {"sequence": sequence.tolist(), "frame": place.tolist()}
    shape = columns["latents"][0].shape if latents else None
    return _parquet(values, _features(columns["indices"][0].shape, shape, frames.sequences is not None), digest)


def _places(sequences: torch.Tensor) -> torch.Tensor:
    """The place of each frame in its sequence, (N,) int64 from 0."""
    rows = torch.arange(len(sequences))
    starts = torch.cat([torch.tensor([True]), sequences[1:] != sequences[:-1]])
    return rows - torch.where(starts, rows, 0).cummax(dim=0).values


def _features(grid: tuple[int, ...], latent_shape: tuple[int, int, int] | None, sequences: bool):
    from datasets import Array2D, Array3D, Features, Value

    features = {"indices": (Array2D if len(grid) == 2 else Array3D)(grid, "uint16")}
    if latent_shape is not None:
        features["latents"] = Array3D(latent_shape, "float16")
    features["row"] = Value("int64")
    return Features(features | ({"sequence": Value("int64"), "frame": Value("int32")} if sequences else {}))


def _shapes(model: nn.Module) -> tuple[tuple[int, ...], tuple[int, int, int]]:
    """(h, w) or (h, w, depth) of the codes, and (D, h, w), for frames of the model's size."""
    side, depth = model.config.sample_size // model.downsampling_factor, model.quantizer.depth
    return (side, side) if depth == 1 else (side, side, depth), (model.config.latent_channels, side, side)


def _parquet(columns: dict[str, list], features, digest: str) -> bytes:
    import pyarrow.parquet
    from datasets import Dataset

    table = Dataset.from_dict(columns, features=features).data.table
    table = table.replace_schema_metadata({**table.schema.metadata, ENCODER_KEY: digest.encode()})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()
