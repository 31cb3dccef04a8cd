"""From a name to frames: a folder, videos, a Hub dataset, packed safetensors files, simulated plumes."""

import os
from collections.abc import Iterable, Sequence

from ...checks import check_positive
from ..frames import Frames
from ..mixed_frames import MixedFrames
from .base import Source
from .folder import FolderSource
from .hub import HubSource
from .packed import PackedSource
from .simulated import SimulatedSource
from .videos import VideosSource

# The last one that matches a name is taken; a folder takes all that is left.
SOURCES: dict[str, Source] = {
    "folder": FolderSource(),
    "videos": VideosSource(),
    "hub": HubSource(),
    "packed": PackedSource(),
    "simulated": SimulatedSource(),
}


def find_source(name: str) -> Source:
    """The source of the data with this name."""
    return next(source for source in reversed(SOURCES.values()) if source.matches(name))


def check_sources(
    names: Iterable[str], splits: Iterable[str] = (), size: int | None = None, fps: float | None = None
) -> None:
    """Refuse data that do not exist, or not as they are to be loaded, before anything is loaded.

    Args:
        splits, size, fps: as in `load_frames`. Without a size, splits are not checked.

    Raises:
        FileNotFoundError, ValueError: as far as it is known without reading the data.
    """
    if fps is not None:
        check_positive("fps", fps)
    for name in names:
        source = find_source(name)
        source.check(name)
        if fps is not None and not source.has_frame_rate:
            raise ValueError(f"{name} has no frame rate: fps is for folders of videos.")
        for split in splits if size is not None else ():
            source.check_split(name, split, size)


def load_frames(
    source: str | Sequence[str],
    split: str = "train",
    size: int = 64,
    packed: bool = True,
    resize: bool = False,
    max_frames: int | None = None,
    weights: Sequence[float] | None = None,
    fps: float | None = None,
) -> Frames:
    """Load one split of a dataset, or of several as one.

    Args:
        source: a folder that `load_dataset` reads (Parquet with columns `image` and optionally `alpha`, or images), a
            folder of videos, or of folders of videos named after their splits, whose frames are taken as they are, a
            folder of `<split>.safetensors` files or one such file (read without the datasets package), a Hub dataset
            "user/name", or "simulated" or "simulated:CONFIGURATION" for plumes that are simulated here at the first
            use and then found in the cache of datasets. (A folder of that name is "./simulated".) Or a list of these.
        split: its name.
        size: height and width of the frames.
        packed: decode everything into memory once; otherwise decode frames on access.
        resize: resize frames of another size instead of refusing them.
        max_frames: the largest number of frames, evenly spaced over the split (of all sources).
        weights: of several sources, how often a training epoch draws from each (see `MixedFrames`).
        fps: frames per second that are taken of videos; frames are left out or repeated. Default: each frame once.

    Raises:
        FileNotFoundError: the folder, file or dataset does not exist.
        ValueError: unknown split or configuration, no frames, a frame that cannot be decoded or has another size or
            other channels, or `fps` of data that are not videos.
    """
    names = [str(source)] if isinstance(source, (str, os.PathLike)) else list(source)
    check_sources(names, fps=fps)
    rate = {} if fps is None else {"fps": fps}
    parts = [find_source(name).load(name, split, size, resize, **rate) for name in names]
    if len(parts) == 1:
        frames = parts[0].select(max_frames)
        return frames.pack() if packed else frames
    frames = MixedFrames(parts, weights).select(max_frames)
    return MixedFrames([part.pack() for part in frames.parts], weights) if packed else frames
