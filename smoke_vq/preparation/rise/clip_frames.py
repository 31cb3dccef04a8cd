"""Frames of the clips of one video: their smoke cut out on black, or the reason why a clip is dropped."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ...checks import check_count, check_positive
from ..folder import write_atomically
from ..matting.alpha import MATTINGS
from ..matting.chunks import MIN_FRAMES, split_frames
from ..matting.cut_out import CutOut, centre_square, cut_out, working_size
from ..matting.quality import failed_criterion
from ..matting.video import iter_frames
from .clips import Clip

# Increase it when the same clip and settings give other frames: results of older runs are then not reused.
CLIP_VERSION = 3
_NUM_SHOWN = 4


@dataclass(frozen=True)
class ClipSettings:
    """How clips become frames.

    size: height and width of the frames in pixels.
    matting: "guided" or "closed-form".
    gain: brightness factor of all clips, or None to choose one for each clip.
    min_coverage, max_coverage: a frame is kept if the share of its pixels with visible smoke is between these.
    fps: frames per second to which videos are resampled, or None to use each frame.
    max_frames: number of frames of a video that are read, or None for all.
    clip_frames: longer videos are divided into clips of at most this many frames, each with its own background.
    keep_all: keep clips that fail a criterion of `matting.quality`.
    """

    size: int = 64
    matting: str = "guided"
    gain: float | None = None
    min_coverage: float = 0.0003
    max_coverage: float = 0.85
    fps: float | None = None
    max_frames: int | None = None
    clip_frames: int = 360
    keep_all: bool = False

    def __post_init__(self):
        if not 8 <= self.size <= 1024:
            raise ValueError(f"size is {self.size}: expected 8 to 1024 pixels.")
        if self.matting not in MATTINGS:
            raise ValueError(f"Unknown matting '{self.matting}': expected one of {list(MATTINGS)}.")
        if self.gain is not None and self.gain <= 0:
            raise ValueError(f"gain is {self.gain}: expected a number above 0.")
        if not 0 <= self.min_coverage < self.max_coverage <= 1:
            raise ValueError(f"coverage is {self.min_coverage} to {self.max_coverage}: expected 0 <= min < max <= 1.")
        if self.fps is not None:
            check_positive("fps", self.fps)
        if self.max_frames is not None:
            check_count("max-frames", self.max_frames)
        if self.clip_frames < 2 * MIN_FRAMES:
            raise ValueError(f"clip-frames is {self.clip_frames}: expected {2 * MIN_FRAMES} or more.")


def cut_out_video(clip: Clip, settings: ClipSettings, files: Path, show_progress: bool = False) -> bytes:
    """Cut out a video clip by clip, in memory that does not grow with its length.

    Args:
        files: each clip is written to `<files>-<number of its first frame>.npz`, unless this file exists.
        show_progress: show a bar if it takes longer than some seconds.

    Returns:
        The ids of the clips and the names of their files, as `load_clip_list` reads them.
    """
    import cv2
    from tqdm.auto import tqdm

    cv2.setNumThreads(1)
    numbers = []
    with tqdm(desc=clip.clip_id, unit=" frames", disable=not show_progress, delay=5, leave=False) as bar:
        for first, frames, error in _read_clips(clip, settings):
            path = _clip_file(files, first)
            if not path.exists():
                write_atomically(path, _pack(_cut_out_frames(frames, first, settings, error)))
            numbers.append(first)
            bar.update(len(frames))
    is_whole = len(numbers) == 1 and clip.frames == (0, None)
    ids = [clip.clip_id if is_whole else f"{clip.clip_id}-{first:06d}" for first in numbers]
    return json.dumps(
        [(name, _clip_file(files, first).name) for name, first in zip(ids, numbers, strict=True)]
    ).encode()


def load_clip_list(path: Path) -> dict[str, Path]:
    """The files of a video's clips by clip id, in order of time, given the list that `cut_out_video` returned."""
    return {clip_id: path.with_name(name) for clip_id, name in json.loads(path.read_bytes())}


def load_clip_frames(path: Path) -> dict:
    """The result for one clip.

    Returns:
        reason: None, or why the clip is dropped (then `detail`, and perhaps `value` and `limit`).
        failed: the criterion that a clip which is kept fails (see `ClipSettings.keep_all`), or None.
        frames: number of dropped frames by reason.
        measures: see `matting.cut_out.CutOut`.
        image (N, size, size, 3), alpha (N, size, size): uint8, the kept frames.
        frame_index (N,): their numbers in the video, after resampling.
        shown (M,): numbers of the frames of the contact sheet.
        sheet (M, columns, size, size, 3): these as they are and, if the clip was cut out, their smoke and alpha.
    """
    with np.load(path, allow_pickle=False) as stored:
        result = dict(stored)
    return json.loads(str(result.pop("__values__"))) | result


def _clip_file(files: Path, first: int) -> Path:
    return files.with_name(f"{files.name}-{first:06d}.npz")


def _pack(result: dict) -> bytes:
    arrays = {key: value for key, value in result.items() if isinstance(value, np.ndarray)}
    values = {key: value for key, value in result.items() if key not in arrays}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, __values__=np.array(json.dumps(values)), **arrays)
    return buffer.getvalue()


def _read_clips(clip: Clip, settings: ClipSettings) -> Iterator[tuple[int, list[np.ndarray], str | None]]:
    """The clips of a video: number of the first frame, the square frames, and why no more could be read."""
    first, stop = clip.frames
    stop = min((limit for limit in (stop, settings.max_frames) if limit is not None), default=None)
    error = None

    def readable() -> Iterator[np.ndarray]:
        nonlocal error
        try:
            for frame in islice(iter_frames(clip.path, working_size(settings.size), settings.fps, stop), first, None):
                yield centre_square(frame[None])[0]
        except ValueError as unreadable:
            error = str(unreadable)

    part: list[np.ndarray] = []
    for following in split_frames(readable(), settings.clip_frames):
        if part:
            yield first, part, None
        first, part = first + len(part), following
    yield first, part, error


def _cut_out_frames(images: list[np.ndarray], first: int, settings: ClipSettings, error: str | None) -> dict:
    """The result for one clip, as `load_clip_frames` describes it; `error` tells why its frames are incomplete."""
    if not images:
        detail = error or "the video has no frame here"
        return {"reason": "too short" if error is None else "unreadable", "detail": detail} | _sheet(
            None, first, settings
        )
    frames = np.stack(images)
    as_they_are = _sheet(frames, first, settings)
    if error is not None:
        return {"reason": "unreadable", "detail": error} | as_they_are
    side = min(frames.shape[1:3])
    if side < settings.size:
        return {"reason": "too small", "detail": f"the shorter side has {side} pixels", "value": side} | as_they_are
    if len(frames) < MIN_FRAMES:
        detail = f"{len(frames)} frames are too few to estimate the background"
        return {"reason": "too short", "detail": detail, "value": len(frames)} | as_they_are
    smoke = cut_out(frames, settings.size, settings.matting, settings.gain)
    failed = failed_criterion(smoke.measures)
    if failed is not None and not settings.keep_all:
        return {**failed, "measures": smoke.measures} | _sheet(frames, first, settings, smoke)
    coverage = smoke.coverage
    few, many = coverage < settings.min_coverage, coverage > settings.max_coverage
    kept = np.flatnonzero(~few & ~many)
    counts = {"too little smoke": int(few.sum()), "too much smoke": int(many.sum())}
    if len(kept) == 0:
        reason = "no smoke" if few.all() else "no frame left"
        detail = f"no frame has a coverage of {settings.min_coverage} to {settings.max_coverage}"
        about = {"reason": reason, "detail": detail, "value": float(coverage.max()), "frames": counts}
        return about | _sheet(frames, first, settings, smoke)
    return {
        "reason": None,
        "failed": failed,
        "measures": smoke.measures,
        "frames": counts,
        "image": smoke.image[kept],
        "alpha": smoke.alpha[kept],
        "frame_index": (first + kept).astype(np.int32),
        **_sheet(frames, first, settings, smoke, kept),
    }


def _sheet(
    frames: np.ndarray | None,
    first: int,
    settings: ClipSettings,
    smoke: CutOut | None = None,
    places: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """`shown` and `sheet` of a clip: a few frames at `places`, by default at any; without frames, a black one."""
    import cv2

    if frames is None:
        return {"shown": np.zeros(0, int), "sheet": np.zeros((1, 1, settings.size, settings.size, 3), np.uint8)}
    places = np.arange(len(frames)) if places is None else places
    places = places[np.linspace(0, len(places) - 1, _NUM_SHOWN).round().astype(int)]
    target = (settings.size, settings.size)
    columns = [np.stack([cv2.resize(frame, target, interpolation=cv2.INTER_AREA) for frame in frames[places]])]
    if smoke is not None:
        columns += [smoke.image[places], smoke.alpha[places][..., None].repeat(3, -1)]
    return {"shown": first + places, "sheet": np.stack(columns, 1)}
