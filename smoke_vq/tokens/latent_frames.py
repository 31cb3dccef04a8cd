"""Latents of frames in memory, as training data for generative models."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from tqdm import tqdm

from ..data.frames import Frames, PackedFrames
from ..data.mirrored_frames import WithMirroredFrames
from ..data.mixed_frames import MixedFrames
from ..layout import DATA
from .files import open_file, read_code_settings

if TYPE_CHECKING:
    from ..data.processor import SmokeImageProcessor

Transform = Callable[[torch.Tensor], torch.Tensor]


class LatentFrames(PackedFrames):
    """Latents of frames: a batch has `latents` (B, C, h, w) instead of `image`.

    Args:
        latents: (N, C, h, w), of any precision.
        sequences: (N,) int64, equal for neighbours that follow each other in time.
    """

    def __init__(self, latents: torch.Tensor, sequences: torch.Tensor | None, name: str):
        self.images, self.alphas, self.has_alpha = latents, None, False
        self.sequences, self.name, self.size = sequences, name, tuple(latents.shape[-2:])

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        batch = super().__getitems__(rows)
        return {"latents": batch.pop("image"), **batch}

    @torch.no_grad()
    def map(self, transform: Transform) -> "LatentFrames":
        """The latents after `transform`, which takes and returns (B, ..., h, w) float32."""
        latents = torch.cat([transform(part.float()) for part in self.images.split(1024)])
        return LatentFrames(latents, self.sequences, self.name)

    def to(self, device) -> "LatentFrames":
        return LatentFrames(self.images.to(device), self.sequences, self.name)

    def _select(self, count: int) -> "LatentFrames":
        raise ValueError(f"{self.name}: a part of the latents has no complete sequences; select windows instead.")


@torch.no_grad()
def read_latents(folder: str | Path, split: str, autoencoder: nn.Module) -> LatentFrames:
    """The latents in a folder that `encode_dataset` wrote, as float16.

    Raises:
        FileNotFoundError: it is not a folder of codes.
        ValueError: it was encoded by another encoder or codebook, has no latents, no sequences or no such split, or is
            incomplete or damaged.
    """
    folder = Path(folder)
    settings = read_code_settings(folder, autoencoder)
    if not settings["latents"]:
        raise ValueError(f"{folder} holds codes without latents: run smoke-vq encode with --latents.")
    if split not in settings["splits"]:
        raise ValueError(f"{folder} has no split {split!r}: expected one of {sorted(settings['splits'])}.")
    parts, sequences = [], []
    for path in sorted((folder / DATA).glob(f"{split}-*.parquet")):
        file = open_file(path, settings["encoder"]["sha256"])
        if "sequence" not in file.schema_arrow.names:
            raise ValueError(f"{folder} does not say which frames follow each other: it has no column 'sequence'.")
        table = file.read(columns=["latents", "sequence"])
        values = table["latents"].combine_chunks()
        while hasattr(values, "storage"):
            values = values.storage
        while hasattr(values, "flatten") and "list" in str(values.type):
            values = values.flatten()
        shape = (table.num_rows, *_latent_shape(file))
        parts.append(torch.from_numpy(values.to_numpy(zero_copy_only=False).copy()).view(shape))
        sequences.append(torch.from_numpy(table["sequence"].to_numpy().copy()))
    return LatentFrames(torch.cat(parts), torch.cat(sequences), f"split {split!r} of {folder}")


@torch.no_grad()
def encode_frames(
    frames: Frames,
    autoencoder: nn.Module,
    processor: "SmokeImageProcessor",
    mirror: bool = False,
    show: bool = False,
) -> LatentFrames:
    """The latents of frames, encoded now, as float16.

    Args:
        mirror: encode the mirrored frames too (see `WithMirroredFrames`).
        show: a progress bar.

    Raises:
        ValueError: the frames do not say which of them follow each other.
    """
    if frames.sequences is None:
        raise ValueError(
            f"{frames.name} does not say which frames follow each other: expected the columns sequence_id and frame "
            f"(or clip_id and frame_index), or packed frames with sequences."
        )
    frames, parts = WithMirroredFrames(frames) if mirror else frames, []
    with tqdm(total=len(frames), desc="encode", unit=" frames", disable=not show) as bar:
        for start in range(0, len(frames), 256):
            images = frames.__getitems__(range(start, min(start + 256, len(frames))))["image"]
            latents = autoencoder.encode(processor.to_pixel_values(images.to(autoencoder.device))).latents
            parts.append(latents.half().cpu())
            bar.update(len(images))
    return LatentFrames(torch.cat(parts), frames.sequences, f"latents of {frames.name}")


def join_latents(parts: Sequence[LatentFrames]) -> LatentFrames:
    """Several datasets of latents as one."""
    if len(parts) == 1:
        return parts[0]
    mixed = MixedFrames(parts)
    return LatentFrames(torch.cat([part.images for part in parts]), mixed.sequences, mixed.name)


def _latent_shape(file) -> tuple[int, ...]:
    """(D, h, w), from the features that `datasets` stores in the schema."""
    import datasets

    return tuple(datasets.Features.from_arrow_schema(file.schema_arrow)["latents"].shape)
