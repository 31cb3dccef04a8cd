"""Cut-out of a video of any length: in chunks of consecutive frames, each with a background of its own."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .cut_out import centre_square, cut_out, is_on_black
from .quality import failed_criterion

MIN_FRAMES = 8  # to estimate a background
CHUNK_FRAMES = 120

# How frames become smoke on black, as the user reads it.
CUT_OUT = f"Smoke was cut out; the background was estimated anew every {CHUNK_FRAMES} frames."
ON_BLACK = "The frames show smoke on black, and were taken as they are."
RAW = "The frames do not show smoke on black and were not cut out: the models are not trained for them."


@dataclass
class Chunk:
    """Consecutive frames of a video, and their smoke.

    original: (N, S, S, 3) uint8, the central square of the frames.
    image: (N, S, S, 3) uint8, smoke on black.
    alpha: (N, S, S) uint8; None for frames that were taken as they are.
    failed: the criterion of `matting.quality` that the chunk fails, so that its cut-out may be wrong, or None.
    """

    original: np.ndarray
    image: np.ndarray
    alpha: np.ndarray | None = None
    failed: str | None = None


def choose_way(name: str, first: list[np.ndarray], size: int, cut_out: str = "auto") -> str:
    """How the frames of a clip become smoke on black, given its first frames: `CUT_OUT`, `ON_BLACK` or `RAW`.

    Args:
        first: (H, W, 3) uint8, `MIN_FRAMES` of them unless the clip is shorter.
        size: of the frames that the model takes.
        cut_out: "yes", "no" or "auto", which cuts out unless the frames show smoke on black.

    Raises:
        ValueError: the frames are too small, or too few for the cut-out that was asked for.
    """
    side = min(first[0].shape[:2])
    if side < size:
        raise ValueError(f"{name} has frames of {side} pixels: expected {size} or more.")
    if cut_out == "yes" and len(first) < MIN_FRAMES:
        raise ValueError(f"{name} has {len(first)} frame(s): a cut-out needs {MIN_FRAMES} or more.")
    if cut_out != "yes" and is_on_black(np.stack(first)):
        return ON_BLACK
    return RAW if cut_out == "no" or len(first) < MIN_FRAMES else CUT_OUT


def cut_out_chunks(
    frames: Iterable[np.ndarray], size: int = 64, num_frames: int = CHUNK_FRAMES, matting: str = "guided"
) -> Iterator[Chunk]:
    """Cut the smoke out of a video of a static camera, in memory that does not grow with its length.

    The brightness factor is that of the first chunk with smoke.

    Args:
        frames: (H, W, 3) uint8, of one size, `MIN_FRAMES` or more.
        num_frames: frames of a chunk, at least twice `MIN_FRAMES`; see `split_frames`.

    Raises:
        ValueError: there are too few frames.
    """
    gain = None
    for chunk in map(np.stack, split_frames(frames, num_frames)):
        if len(chunk) < MIN_FRAMES:
            raise ValueError(f"Found {len(chunk)} frames: the background is estimated from {MIN_FRAMES} or more.")
        smoke = cut_out(chunk, size, matting, gain)
        if gain is None and smoke.alpha.any():
            gain = smoke.measures["gain"]
        failed = failed_criterion(smoke.measures)
        yield Chunk(_shrink(chunk, size), smoke.image, smoke.alpha, failed and failed["reason"])


def as_they_are(frames: Iterable[np.ndarray], size: int = 64, num_frames: int = CHUNK_FRAMES) -> Iterator[Chunk]:
    """The same chunks without a cut-out: the frames' central square, reduced to `size`."""
    for chunk in map(np.stack, split_frames(frames, num_frames)):
        small = _shrink(chunk, size)
        yield Chunk(small, small)


def split_frames(frames: Iterable[np.ndarray], num_frames: int) -> Iterator[list[np.ndarray]]:
    """Lists of `num_frames` consecutive frames, read as they are needed.

    The last two may be shorter, but have at least half as many frames, unless there are fewer in all.
    """
    held: list[np.ndarray] = []
    for frame in frames:
        held.append(frame)
        if len(held) == num_frames + num_frames // 2:
            yield held[:num_frames]
            held = held[num_frames:]
    if len(held) > num_frames:
        half = math.ceil(len(held) / 2)
        yield held[:half]
        held = held[half:]
    if held:
        yield held


def _shrink(frames: np.ndarray, size: int) -> np.ndarray:
    import cv2

    return np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in centre_square(frames)])
