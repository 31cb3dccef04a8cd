"""The background of a static camera's clip: what it would show without smoke, its light and its noise.

Frames are float32 in [0, 1]. Lengths are in pixels of a 180x180 frame.
"""

import numpy as np

from .image_filters import box, gradient

# The background is the shortest interval of brightness that holds this share of a pixel's frames: a bare background
# repeats itself and smoke does not. Brighter intervals pay, since steam is white and can linger for most of a clip;
# they pay little where even the darkest frame is bright: that is sky, where smoke may be the darker of the two.
BACKGROUND_SHARE = 0.12
BRIGHTNESS_PENALTY = 0.5
SKY_BRIGHTNESS_PENALTY = 0.15
SKY_BRIGHTNESS = 0.4
SAME_BRIGHTNESS = 4 / 255
MIN_NOISE = 1.5 / 255


def estimate_background(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, H, W, 3) -> background (H, W, 3), and the width (H, W) of each pixel's shortest interval of brightness.

    The background is the mean of the frames as bright as that interval. A wide interval: hardly ever bare.
    """
    brightness = box(frames, 2).mean(-1)
    ranked = np.sort(brightness, axis=0)
    count = max(3, round(BACKGROUND_SHARE * len(frames)))
    starts = ranked[: len(frames) - count + 1]
    widths = ranked[count - 1 :] - starts
    penalty = np.where(ranked[0] > SKY_BRIGHTNESS, SKY_BRIGHTNESS_PENALTY, BRIGHTNESS_PENALTY)
    first = np.argmin(widths + penalty * (starts - ranked[0]), axis=0)[None]
    start = np.take_along_axis(starts, first, axis=0)
    width = np.take_along_axis(widths, first, axis=0)
    weight = (np.abs(brightness - start - width / 2) <= width / 2 + SAME_BRIGHTNESS).astype(np.float32)
    background = np.einsum("thw,thwc->hwc", weight, frames) / weight.sum(0)[..., None]
    return background.astype(np.float32), width[0]


def sky_of(background: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W) bool: bright, smooth and connected to the upper edge."""
    import cv2

    level = background.mean(-1)
    bright = (level > max(0.3, 1.3 * np.quantile(level, 0.25))) & (gradient(background) < 0.06)
    _, labels = cv2.connectedComponents(bright.astype(np.uint8))
    return bright & np.isin(labels, np.unique(labels[:3]))


def match_light(frames: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undo flicker: divide each frame by its ratio to the background over the quietest half of the pixels.

    The sky, which has its own light, is then divided by its own ratio.

    Args:
        frames: (T, H, W, 3).
        background: (H, W, 3).

    Returns:
        The frames (T, H, W, 3), and the ratios (T, 3) of all but the sky.
    """
    spread = frames.mean(-1).std(0)
    quiet = (spread <= np.median(spread)) & (background.min(-1) > 0.05)
    if quiet.sum() < 100:
        return frames, np.ones((len(frames), 3), np.float32)
    ratios = np.median(frames[:, quiet] / background[quiet], axis=1).astype(np.float32)
    frames = frames / ratios[:, None, None]
    sky = sky_of(background)
    if sky.sum() >= 100:
        sky_ratios = np.median(frames[:, sky] / background[sky], axis=1).astype(np.float32)
        frames[:, sky] /= np.clip(sky_ratios, 0.85, 1.15)[:, None]
    return frames, ratios


def noise_level(difference: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Noise of each pixel, (H, W), from the differences (T, H, W, 3) from the background (H, W, 3).

    noise^2 = sensor^2 + (jitter |grad B|)^2: an edge that trembles by `jitter` pixels changes by as many gradients.
    """
    size = np.abs(difference).mean(-1)
    steepness = gradient(background)
    typical = np.median(size, axis=0)
    flat = steepness <= np.quantile(steepness, 0.5)
    steep = steepness >= max(np.quantile(steepness, 0.85), 0.02)
    sensor = max(1.25 * float(np.median(typical[flat])), MIN_NOISE)
    jitter = 1.25 * float(np.median(typical[steep] / steepness[steep])) if steep.sum() > 50 else 0.0
    return np.sqrt(sensor**2 + (jitter * steepness) ** 2).astype(np.float32)
