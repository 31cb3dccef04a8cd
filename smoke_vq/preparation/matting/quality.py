"""Criteria for a clean matte: measures of everything that changes besides smoke, and their limits."""

import numpy as np

from .background import sky_mask
from .image_filters import box, grey, texture

# Reason: (name of the measure, its limit, its meaning).
CRITERIA = {
    "camera shake": ("shake", 1.0, "movement of the camera in pixels"),
    "light change": ("light", 0.25, "relative change of the light over the clip"),
    "moving objects": ("detail", 0.45, "share of fine detail in the change, as of blades and foliage"),
    "moving clouds": ("sky_motion", 0.15, "share of the sky that changes slowly"),
    "sunlight": ("texture_growth", -0.08, "growth of the background's texture where it changes; smoke reduces it"),
    "lingering smoke": ("lingering", 0.22, "share of the pixels with smoke that never show the background"),
}


def failed_criterion(measures: dict[str, float]) -> dict | None:
    """The first criterion that the clip fails, as reason, detail, value and limit, or None."""
    for reason, (name, limit, detail) in CRITERIA.items():
        if name in measures and measures[name] > limit:
            return {"reason": reason, "detail": detail, "value": measures[name], "limit": limit}
    return None


def measure(
    frames: np.ndarray, background: np.ndarray, width: np.ndarray, noise: np.ndarray, region: np.ndarray
) -> dict[str, float]:
    """Measures of a clip by name; without smoke in the clip, only the shake.

    Args:
        frames: (T, H, W, 3).
        background: (H, W, 3).
        width: second return value of `estimate_background`, (H, W).
        noise: (H, W).
        region: (T, H, W), 0 or 1.
    """
    difference, inside = frames - background, region > 0
    shake = _camera_shake(frames, background, region)
    if not inside.any():
        return {"shake": shake}
    change = grey(np.abs(difference))[inside].sum()
    detail = grey(np.abs(difference - box(difference, 2)))[inside].sum()
    still = texture(background)
    growth = (texture(difference) * still)[inside].sum() / (inside * (still**2 + 1e-5)).sum()
    return {
        "shake": shake,
        "detail": float(detail / change),
        "sky_motion": _sky_motion(difference, inside, background),
        "texture_growth": float(growth),
        "lingering": float((width > 1.5 * noise.min())[inside.any(0)].mean()),
    }


def _camera_shake(frames: np.ndarray, background: np.ndarray, region: np.ndarray) -> float:
    """Movement of the camera in pixels: 90th percentile over the frames, without the pixels of smoke.

    The shift of a frame is found by phase correlation (Kuglin & Hines, 1975) with OpenCV's subpixel peak.
    """
    import cv2

    still = texture(background)
    window = cv2.createHanningWindow(still.shape[::-1], cv2.CV_32F)
    shifts = []
    for frame, smoke in zip(frames, region, strict=True):
        mask = window * (1 - smoke)
        shift, _ = cv2.phaseCorrelate(np.float32(still * mask), np.float32(texture(frame) * mask))
        shifts.append(np.hypot(*shift))
    return float(np.quantile(shifts, 0.9))


def _sky_motion(difference: np.ndarray, inside: np.ndarray, background: np.ndarray) -> float:
    """Share of the sky that changes if it changes slowly, as clouds do, else 0: smoke changes faster.

    Args:
        difference: (T, H, W, 3).
        inside: (T, H, W), bool.
        background: (H, W, 3).
    """
    sky = sky_mask(background)
    active = sky & inside.any(0)
    if sky.sum() < 1500 or active.sum() < 100:
        return 0.0
    series = grey(difference[:, active])
    series = series - series.mean(0)
    persistence = (series[1:] * series[:-1]).mean() / max((series**2).mean(), 1e-9)
    return float(inside[:, sky].mean() * (persistence > 0.85))
