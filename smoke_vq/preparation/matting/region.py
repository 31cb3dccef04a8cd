"""Where a frame shows smoke, by its difference D from the background.

Lengths are in pixels of a 180x180 frame.
"""

import numpy as np

from .image_filters import box, texture

# The score is |D| in units of noise. Smoke grows from pixels above SEED_SCORE into those above EDGE_SCORE.
EDGE_SCORE = 3.0
SEED_SCORE = 7.0
MIN_COHERENCE = 0.6
MAX_TEXTURE_GROWTH = 0.25
MIN_REGION = 60


def smoke_region(difference: np.ndarray, background: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where one frame's D (H, W, 3) is smoke, 0 or 1, and how surely, in [0, 1]; both (H, W).

    Hysteresis on the score |D| / noise, weighted by two facts. Smoke changes its neighbourhood one way, compression and
    foliage do not: coherence |mean D| / mean |D| over 9x9 pixels. Smoke veils the background's texture (by the factor
    1 - alpha), sunlight and trembling raise it. An opening drops things thinner than 5 pixels.
    """
    import cv2

    smooth = box(difference, 1)
    size = np.linalg.norm(smooth, axis=-1)
    coherence = np.linalg.norm(box(smooth, 4), axis=-1) / np.maximum(box(size, 4), 1e-6)
    change, still = texture(difference), texture(background)
    growth = box(change * still, 6) / (box(still * still, 6) + noise**2)
    score = size / (np.sqrt(3) * noise) * np.clip(coherence / MIN_COHERENCE, 0, 1) ** 2
    score *= np.clip((MAX_TEXTURE_GROWTH - growth) / (0.6 * MAX_TEXTURE_GROWTH), 0, 1)
    grown = cv2.morphologyEx((score > EDGE_SCORE).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    seeded = np.zeros(count, bool)
    seeded[np.unique(labels[score > SEED_SCORE])] = True
    seeded &= statistics[:, cv2.CC_STAT_AREA] >= MIN_REGION
    seeded &= region_texture(labels, change, still, noise) < MAX_TEXTURE_GROWTH / 2
    seeded[0] = False
    region = seeded[labels].astype(np.float32)
    spread = box(cv2.dilate(region, np.ones((7, 7), np.uint8)), 3)
    sureness = np.clip((box(score, 3) - 0.5 * EDGE_SCORE) / (SEED_SCORE - 0.5 * EDGE_SCORE), 0, 1)
    return region, spread * sureness


def region_texture(labels: np.ndarray, change: np.ndarray, still: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """By how much the background's texture grows, by label, in regions and their rims, where a sunlit roof shows.

    All of (H, W): the labels, the texture of D (`change`) and of the background (`still`), the noise.
    """
    import cv2

    wide = cv2.dilate(labels.astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int32).ravel()
    count = int(labels.max()) + 1
    agreement = np.bincount(wide, (change * still).ravel(), count)
    return agreement / np.bincount(wide, (still**2 + noise**2).ravel(), count).clip(1e-9)
