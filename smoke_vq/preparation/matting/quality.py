"""Can a clip give a clean matte? Measures of what moves besides smoke, and the limits on them."""

import numpy as np

from .background import sky_of
from .image_filters import box, texture

# Reason: (measure, largest value of a clean clip, what it means).
CRITERIA = {
    "camera shake": ("shake", 1.0, "pixels by which the camera moves"),
    "light change": ("light", 0.25, "change of the light over the clip, as a share"),
    "moving objects": ("detail", 0.45, "fine detail of what moves, as a share of its change: blades, foliage"),
    "moving clouds": ("sky_motion", 0.15, "share of the sky that changes slowly"),
    "sunlight": ("texture_growth", -0.08, "growth of the background's texture where it changes; smoke veils it"),
    "lingering smoke": ("lingering", 0.22, "share of the smoke's pixels that never show a bare background"),
}


def failed_criterion(measures: dict[str, float]) -> dict | None:
    """Why a clip gives no clean matte: the first criterion that it fails, as reason, detail, value and limit."""
    for reason, (name, limit, detail) in CRITERIA.items():
        if name in measures and measures[name] > limit:
            return {"reason": reason, "detail": detail, "value": measures[name], "limit": limit}
    return None


def measure(
    frames: np.ndarray, background: np.ndarray, width: np.ndarray, noise: np.ndarray, region: np.ndarray
) -> dict[str, float]:
    """What the criteria look at, by name; only the shake of a clip that shows no smoke.

    Args:
        frames: (T, H, W, 3).
        background: (H, W, 3).
        width: what `estimate_background` returns beside it, (H, W).
        noise: (H, W).
        region: (T, H, W), 0 or 1.
    """
    difference, inside = frames - background, region > 0
    shake = camera_shake(frames, background, region)
    if not inside.any():
        return {"shake": shake}
    change = np.abs(difference).mean(-1)[inside].sum()
    detail = np.abs(difference - box(difference, 2)).mean(-1)[inside].sum()
    still = texture(background)
    growth = (texture(difference) * still)[inside].sum() / (inside * (still**2 + 1e-5)).sum()
    return {
        "shake": shake,
        "detail": float(detail / change),
        "sky_motion": sky_motion(difference, inside, background),
        "texture_growth": float(growth),
        "lingering": float((width > 1.5 * noise.min())[inside.any(0)].mean()),
    }


def camera_shake(frames: np.ndarray, background: np.ndarray, region: np.ndarray) -> float:
    """Pixels by which the camera moves: 90th percentile of the frames' phase correlation shifts, smoke left out.

    Phase correlation: Kuglin & Hines, 1975, with the subpixel peak of OpenCV.
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


def sky_motion(difference: np.ndarray, inside: np.ndarray, background: np.ndarray) -> float:
    """Share of the sky that changes, where it changes slowly as clouds do; smoke comes and goes faster: 0.

    difference (T, H, W, 3), inside (T, H, W) bool, background (H, W, 3).
    """
    sky = sky_of(background)
    active = sky & inside.any(0)
    if sky.sum() < 1500 or active.sum() < 100:
        return 0.0
    series = difference[:, active].mean(-1)
    series = series - series.mean(0)
    persistence = (series[1:] * series[:-1]).mean() / max((series**2).mean(), 1e-9)
    return float(inside[:, sky].mean() * (persistence > 0.85))
