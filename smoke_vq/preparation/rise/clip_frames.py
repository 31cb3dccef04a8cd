"""Frames of one clip: its smoke cut out on black, or the reason why the clip is dropped."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..matting.alpha import MATTINGS
from ..matting.cut_out import centre_square, cut_out
from ..matting.quality import failed_criterion
from ..matting.video import read_video
from .clips import Clip

# Increase it when the same clip and settings give other frames: results of older runs are then not reused.
CLIP_VERSION = 2
_MIN_FRAMES = 8
_NUM_SHOWN = 4


@dataclass(frozen=True)
class ClipSettings:
    """How clips become frames.

    size: height and width of the frames in pixels.
    matting: "guided" or "closed-form".
    gain: brightness factor of all clips, or None to choose one for each clip.
    min_coverage, max_coverage: a frame is kept if the share of its pixels with visible smoke is between these.
    """

    size: int = 64
    matting: str = "guided"
    gain: float | None = None
    min_coverage: float = 0.0003
    max_coverage: float = 0.85

    def __post_init__(self):
        if not 8 <= self.size <= 1024:
            raise ValueError(f"size is {self.size}: expected 8 to 1024 pixels.")
        if self.matting not in MATTINGS:
            raise ValueError(f"Unknown matting '{self.matting}': expected one of {list(MATTINGS)}.")
        if self.gain is not None and self.gain <= 0:
            raise ValueError(f"gain is {self.gain}: expected a number above 0.")
        if not 0 <= self.min_coverage < self.max_coverage <= 1:
            raise ValueError(f"coverage is {self.min_coverage} to {self.max_coverage}: expected 0 <= min < max <= 1.")


def cut_out_clip(clip: Clip, settings: ClipSettings) -> bytes:
    """Cut out a clip, as the content of a file that `load_clip_frames` reads."""
    result = _cut_out_clip(clip, settings)
    arrays = {key: value for key, value in result.items() if isinstance(value, np.ndarray)}
    values = {key: value for key, value in result.items() if key not in arrays}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, __values__=np.array(json.dumps(values)), **arrays)
    return buffer.getvalue()


def load_clip_frames(path: Path) -> dict:
    """The result for one clip.

    Returns:
        reason: None, or why the clip is dropped (then `detail`, and perhaps `value` and `limit`).
        frames: number of dropped frames by reason.
        measures: see `matting.cut_out.CutOut`.
        image (N, size, size, 3), alpha (N, size, size): uint8, the kept frames; frame_index (N,): their numbers.
        shown, original (M, size, size, 3): frames for the contact sheet, before the cut-out.
    """
    with np.load(path, allow_pickle=False) as stored:
        result = dict(stored)
    return json.loads(str(result.pop("__values__"))) | result


def _cut_out_clip(clip: Clip, settings: ClipSettings) -> dict:
    import cv2

    cv2.setNumThreads(1)
    try:
        frames = read_video(clip.path)
    except ValueError as error:
        return {"reason": "unreadable", "detail": str(error)}
    side = min(frames.shape[1:3])
    if side < settings.size:
        return {"reason": "too small", "detail": f"the shorter side has {side} pixels", "value": side}
    if len(frames) < _MIN_FRAMES:
        detail = f"{len(frames)} frames are too few to estimate the background"
        return {"reason": "too short", "detail": detail, "value": len(frames)}
    smoke = cut_out(frames, settings.size, settings.matting, settings.gain)
    failed = failed_criterion(smoke.measures)
    if failed is not None:
        return {**failed, "measures": smoke.measures}
    coverage = smoke.coverage
    few, many = coverage < settings.min_coverage, coverage > settings.max_coverage
    kept = np.flatnonzero(~few & ~many)
    counts = {"too little smoke": int(few.sum()), "too much smoke": int(many.sum())}
    if len(kept) == 0:
        detail = f"no frame has a coverage of {settings.min_coverage} to {settings.max_coverage}"
        return {"reason": "no frame left", "detail": detail, "value": float(coverage.max()), "frames": counts}
    shown = kept[np.linspace(0, len(kept) - 1, _NUM_SHOWN).round().astype(int)]
    target = (settings.size, settings.size)
    original = [cv2.resize(frame, target, interpolation=cv2.INTER_AREA) for frame in centre_square(frames[shown])]
    return {
        "reason": None,
        "measures": smoke.measures,
        "frames": counts,
        "image": smoke.image[kept],
        "alpha": smoke.alpha[kept],
        "frame_index": kept.astype(np.int32),
        "shown": shown,
        "original": np.stack(original),
    }
