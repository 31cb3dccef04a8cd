"""Cut-out of a clip: background, region, matte, colour and gain give smoke on black."""

from dataclasses import dataclass

import numpy as np

from .alpha import VISIBLE_ALPHA, difference_matte, premultiplied, refine, smoke_colour
from .background import estimate_background, match_light, noise_level
from .image_filters import brightest
from .occluders import fill_occluders, find_occluders
from .quality import measure
from .region import smoke_region

WORKING_SIZE = 180  # pixels: height and width at which smoke is cut out, unless the result is larger
_MAX_GAIN = 4.0
_BLACK = 4  # of 255, the noise of video compression


@dataclass
class CutOut:
    """Smoke of one clip on black.

    image: (T, size, size, 3) uint8, premultiplied colour, 0 where alpha is 0.
    alpha: (T, size, size) uint8, 255 is opaque.
    measures: measures of the clip by name, for the criteria in quality.py, and its gain.
    """

    image: np.ndarray
    alpha: np.ndarray
    measures: dict[str, float]

    @property
    def coverage(self) -> np.ndarray:
        """Share of the pixels with visible smoke, (T,)."""
        return (self.alpha >= 255 * VISIBLE_ALPHA).mean((1, 2))


def cut_out(frames: np.ndarray, size: int = 64, matting: str = "guided", gain: float | None = None) -> CutOut:
    """Cut the smoke out of a clip.

    Args:
        frames: (T, H, W, 3) uint8; only the central square is used.
        size: height and width of the result in pixels.
        matting: "guided" or "closed-form" (see alpha.py).
        gain: brightness factor, or None to bring the brightest smoke of the clip to 0.85 by a factor of 1 to 4.
    """
    import cv2

    frames = _average(centre_square(frames), working_size(size))
    frames, ratios = match_light(frames, estimate_background(frames)[0])
    background, width = estimate_background(frames)
    difference = frames - background
    noise = noise_level(difference, background)
    region, fade = map(np.stack, zip(*(smoke_region(frame, background, noise) for frame in difference), strict=True))
    bright, dark = (smoke_colour(frames, difference, region, sign) for sign in (1, -1))
    target = difference_matte(difference, background, bright, dark)
    alpha = np.stack([refine(*parts, matting) for parts in zip(difference, target, region, fade, strict=True)])
    colour = np.stack([premultiplied(d, background, a, t) for d, a, t in zip(difference, alpha, target, strict=True)])
    occluders = find_occluders(alpha)
    alpha, colour = fill_occluders(alpha, occluders), fill_occluders(colour, occluders)
    factor = _clip_gain(colour) if gain is None else gain

    def shrink(stack: np.ndarray) -> np.ndarray:
        small = np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in stack])
        return np.rint(255 * np.clip(factor * small, 0, 1)).astype(np.uint8)

    image, alpha_small = shrink(colour), shrink(alpha)
    image[alpha_small == 0] = 0
    alpha_small[brightest(image) == 0] = 0
    measures = measure(frames, background, width, noise, region)
    measures |= {"light": float(np.abs(ratios - 1).max()), "gain": factor}
    return CutOut(image, alpha_small, measures)


def centre_square(frames: np.ndarray) -> np.ndarray:
    """The central square of frames (T, H, W, 3): (T, S, S, 3), where S is the shorter side."""
    side = min(frames.shape[1:3])
    top, left = (frames.shape[1] - side) // 2, (frames.shape[2] - side) // 2
    return frames[:, top : top + side, left : left + side]


def is_on_black(frames: np.ndarray) -> bool:
    """Whether frames (T, H, W, 3) uint8 show something on black: three edges of the central square are mostly black."""
    black = brightest(centre_square(frames)) <= _BLACK
    edges = (black[:, 0], black[:, -1], black[:, :, 0], black[:, :, -1])
    return sum(edge.mean() > 0.5 for edge in edges) >= 3


def working_size(size: int) -> int:
    """Side in pixels of the square to which larger frames are averaged before smoke of `size` pixels is cut out."""
    return max(WORKING_SIZE, size)


def _average(frames: np.ndarray, side: int) -> np.ndarray:
    """Average square uint8 frames to `side` pixels if they are larger, as float32 in [0, 1]."""
    import cv2

    if side < frames.shape[1]:
        frames = np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames])
    return frames.astype(np.float32) / 255


def _clip_gain(colour: np.ndarray) -> float:
    """Factor from 1 to _MAX_GAIN that brings the brightest 1 % of the smoke (T, H, W, 3) of a clip to 0.85."""
    brightness = brightest(colour)
    brightness = brightness[brightness > 2 / 255]
    return float(np.clip(0.85 / np.quantile(brightness, 0.99), 1, _MAX_GAIN)) if brightness.size > 100 else 1.0
