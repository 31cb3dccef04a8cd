"""Folders of videos, whose frames are taken as they are: smoke-vq prepare cuts smoke out of videos."""

from pathlib import Path

import numpy as np
import torch

from ...preparation.matting.video import VIDEO_SUFFIXES, iter_frames, list_videos
from ..frames import PackedFrames
from ..images import as_frame
from .base import Source

ONLY_SPLIT = "train"


class VideosSource(Source):
    """A folder of videos, which is the split "train", or of folders of videos, one for each split.

    The frames of a video follow each other in time (`Frames.sequences`). They are decoded once into memory, at the size
    of the model, at `fps` as in `iter_frames`.
    """

    is_local = True
    has_frame_rate = True

    def matches(self, name: str) -> bool:
        return bool(_splits(Path(name)))

    def open(self, name: str, split: str):
        raise ValueError(f"{name} has videos, which have no columns: smoke-vq prepare makes a dataset of them.")

    def load(self, name: str, split: str, size: int, resize: bool, fps: float | None = None) -> PackedFrames:
        folders = _splits(Path(name))
        if split not in folders:
            raise ValueError(f"{name} has no split {split!r}: found {sorted(folders)}.")
        images, sequences = [], []
        for number, path in enumerate(list_videos(folders[split])):
            try:
                frames = [as_frame(frame, 3, size, resize) for frame in iter_frames(path, fps=fps)]
            except ValueError as error:
                raise ValueError(f"{path} cannot be used: {error}") from error
            images.append(torch.from_numpy(np.stack(frames)))
            sequences.append(torch.full((len(frames),), number))
        return PackedFrames(torch.cat(images), name=f"split {split!r} of {name}", sequences=torch.cat(sequences))


def _splits(folder: Path) -> dict[str, Path]:
    """The folders with videos, by the name of their split; empty if this is not a folder of videos."""
    if _has_videos(folder):
        return {ONLY_SPLIT: folder}
    return {path.name: path for path in sorted(folder.glob("*/")) if _has_videos(path)}


def _has_videos(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in VIDEO_SUFFIXES for path in folder.iterdir())
