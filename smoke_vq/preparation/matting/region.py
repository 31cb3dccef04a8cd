"""Region of a frame that shows smoke, found by its difference D from the background.

Lengths are in pixels of a 180x180 frame.
"""

import numpy as np

from .image_filters import box, length, texture

# The score is |D| in units of noise. Regions of pixels above _EDGE_SCORE need one pixel above _SEED_SCORE.
_EDGE_SCORE = 3.0
_SEED_SCORE = 7.0
_MIN_COHERENCE = 0.6
_MAX_TEXTURE_GROWTH = 0.25
_MIN_REGION = 60


def smoke_region(difference: np.ndarray, background: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find smoke in one frame.

    The score |D| / noise is thresholded with hysteresis, after two weights are applied. Coherence, |mean D| / mean |D|
    over 9x9 pixels, is high for smoke, which changes a neighbourhood in one direction, and low for compression noise
    and foliage. Growth of the background's texture is negative for smoke, which reduces texture by 1 - alpha, and
    positive for sunlight and moving edges. A morphological opening removes structures thinner than 5 pixels.

    Args:
        difference: D, (H, W, 3).
        background: (H, W, 3).
        noise: (H, W).

    Returns:
        The region, 0 or 1, and the confidence in [0, 1], which fades out around the region; both (H, W).
    """
    import cv2

    smooth = box(difference, 1)
    size = length(smooth)
    coherence = length(box(smooth, 4)) / np.maximum(box(size, 4), 1e-6)
    change, still = texture(difference), texture(background)
    growth = box(change * still, 6) / (box(still * still, 6) + noise**2)
    score = size / (np.sqrt(3) * noise) * np.clip(coherence / _MIN_COHERENCE, 0, 1) ** 2
    score *= np.clip((_MAX_TEXTURE_GROWTH - growth) / (0.6 * _MAX_TEXTURE_GROWTH), 0, 1)
    grown = cv2.morphologyEx((score > _EDGE_SCORE).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    seeded = np.zeros(count, bool)
    seeded[np.unique(labels[score > _SEED_SCORE])] = True
    seeded &= statistics[:, cv2.CC_STAT_AREA] >= _MIN_REGION
    seeded &= _region_texture(labels, change, still, noise) < _MAX_TEXTURE_GROWTH / 2
    seeded[0] = False
    region = seeded[labels].astype(np.float32)
    spread = box(cv2.dilate(region, np.ones((7, 7), np.uint8)), 3)
    confidence = np.clip((box(score, 3) - 0.5 * _EDGE_SCORE) / (_SEED_SCORE - 0.5 * _EDGE_SCORE), 0, 1)
    return region, spread * confidence


def _region_texture(labels: np.ndarray, change: np.ndarray, still: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Growth of the background's texture by label, in the regions and their rims (to find sunlit roofs).

    Args:
        labels: (H, W), int.
        change, still: texture of D and of the background, (H, W).
        noise: (H, W).
    """
    import cv2

    wide = cv2.dilate(labels.astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int32).ravel()
    count = int(labels.max()) + 1
    agreement = np.bincount(wide, (change * still).ravel(), count)
    return agreement / np.bincount(wide, (still**2 + noise**2).ravel(), count).clip(1e-9)
