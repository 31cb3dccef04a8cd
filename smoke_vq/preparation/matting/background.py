"""Background of a clip from a static camera: its image without smoke, its changes of light, and its noise.

Frames are float32 in [0, 1]. Lengths are in pixels of a 180x180 frame.
"""

import numpy as np

from .image_filters import box, gradient, grey

# The background of a pixel is the shortest interval of brightness with this share of its frames, because background
# repeats and smoke does not. Bright intervals get a penalty, since steam is white and can stay for most of a clip. The
# penalty is small where even the darkest frame is bright: this is sky, and smoke may be darker than sky.
_BACKGROUND_SHARE = 0.12
_BRIGHTNESS_PENALTY = 0.5
_SKY_BRIGHTNESS_PENALTY = 0.15
_SKY_BRIGHTNESS = 0.4
_SAME_BRIGHTNESS = 4 / 255
_MIN_NOISE = 1.5 / 255


def estimate_background(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the background of frames (T, H, W, 3).

    Returns:
        The background (H, W, 3): the mean of the frames within the shortest interval of brightness of each pixel.
        The width (H, W) of this interval, which is large where smoke covers the pixel most of the time.
    """
    brightness = grey(box(frames, 2))
    ranked = np.sort(brightness, axis=0)
    count = max(3, round(_BACKGROUND_SHARE * len(frames)))
    starts = ranked[: len(frames) - count + 1]
    widths = ranked[count - 1 :] - starts
    penalty = np.where(ranked[0] > _SKY_BRIGHTNESS, _SKY_BRIGHTNESS_PENALTY, _BRIGHTNESS_PENALTY)
    first = np.argmin(widths + penalty * (starts - ranked[0]), axis=0)[None]
    start = np.take_along_axis(starts, first, axis=0)
    width = np.take_along_axis(widths, first, axis=0)
    weight = (np.abs(brightness - start - width / 2) <= width / 2 + _SAME_BRIGHTNESS).astype(np.float32)
    background = np.einsum("thw,thwc->hwc", weight, frames) / weight.sum(0)[..., None]
    return background.astype(np.float32), width[0]


def sky_mask(background: np.ndarray) -> np.ndarray:
    """Pixels of a background (H, W, 3) that are sky, (H, W) bool: bright, smooth and connected to the upper edge."""
    import cv2

    level = grey(background)
    bright = (level > max(0.3, 1.3 * np.quantile(level, 0.25))) & (gradient(background) < 0.06)
    _, labels = cv2.connectedComponents(bright.astype(np.uint8))
    return bright & np.isin(labels, np.unique(labels[:3]))


def match_light(frames: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove changes of light: divide each frame by its ratio to the background, over the pixels that change least.

    The sky changes in a different way and is then divided by a ratio of its own.

    Args:
        frames: (T, H, W, 3).
        background: (H, W, 3).

    Returns:
        The frames (T, H, W, 3) and the ratios (T, 3) outside the sky.
    """
    spread = grey(frames).std(0)
    quiet = (spread <= np.median(spread)) & (background.min(-1) > 0.05)
    if quiet.sum() < 100:
        return frames, np.ones((len(frames), 3), np.float32)
    ratios = np.median(frames[:, quiet] / background[quiet], axis=1).astype(np.float32)
    frames = frames / ratios[:, None, None]
    sky = sky_mask(background)
    if sky.sum() >= 100:
        sky_ratios = np.median(frames[:, sky] / background[sky], axis=1).astype(np.float32)
        frames[:, sky] /= np.clip(sky_ratios, 0.85, 1.15)[:, None]
    return frames, ratios


def noise_level(difference: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Noise of each pixel, (H, W), given the differences D (T, H, W, 3) from the background B (H, W, 3).

    noise^2 = sensor^2 + (jitter |grad B|)^2, where jitter is the movement of edges in pixels.
    """
    size = grey(np.abs(difference))
    steepness = gradient(background)
    typical = np.median(size, axis=0)
    flat = steepness <= np.quantile(steepness, 0.5)
    steep = steepness >= max(np.quantile(steepness, 0.85), 0.02)
    sensor = max(1.25 * float(np.median(typical[flat])), _MIN_NOISE)
    jitter = 1.25 * float(np.median(typical[steep] / steepness[steep])) if steep.sum() > 50 else 0.0
    return np.sqrt(sensor**2 + (jitter * steepness) ** 2).astype(np.float32)
