"""Smoke cut out of a static camera's clip: premultiplied colour on black and a soft alpha.

The camera does not move, so a frame is I = (1 - alpha) B + alpha F with one background B per clip (Porter &
Duff, 1984).
Both smoke terms come from D = I - B: a difference matte with the clip's own smoke colour first, then a refinement that
lets alpha follow the edges of D. The refinement by the matting Laplacian with the first matte as a soft prior, and its
fast replacement by the guided filter, are those that He et al. use for the transmission of haze (CVPR 2009, eq. 14;
TPAMI 2013), whose image model is this one.

Frames are float32 in [0, 1], alpha is in [0, 1], lengths are in pixels of a 180x180 frame.
"""

from dataclasses import dataclass, field

import numpy as np

MATTINGS = ("guided", "closed-form")

# Background: the shortest interval of brightness that holds this share of a pixel's frames, since a bare background
# repeats itself and smoke does not. Brighter intervals pay, since steam is white and can linger for most of a clip;
# they pay little where even the darkest frame is bright: that is sky, where smoke may be the darker of the two.
BACKGROUND_SHARE = 0.12
BRIGHTNESS_PENALTY = 0.5
SKY_BRIGHTNESS_PENALTY = 0.15
SKY_BRIGHTNESS = 0.4
SAME_BRIGHTNESS = 4 / 255

# Score: |D| in units of noise. Smoke grows from pixels above SEED_SCORE into those above EDGE_SCORE.
EDGE_SCORE = 3.0
SEED_SCORE = 7.0
MIN_COHERENCE = 0.6
MAX_TEXTURE_GROWTH = 0.25
MIN_NOISE = 1.5 / 255
MIN_REGION = 60

# Matte: smoke this much brighter than the background counts as opaque even if none in the clip is.
MIN_CONTRAST = 0.25
DARK_SMOKE_MIN_BACKGROUND = 0.45
VISIBLE_ALPHA = 8 / 255
MAX_GAIN = 4.0

# Chimneys in front of smoke.
MAX_OCCLUDER_WIDTH = 27
MIN_OCCLUDED_ALPHA = 0.08

# Reason: (measure, largest value of a clean clip, what it means).
CRITERIA = {
    "camera shake": ("shake", 1.0, "pixels by which the camera moves"),
    "light change": ("light", 0.25, "change of the light over the clip, as a share"),
    "moving objects": ("detail", 0.45, "fine detail of what moves, as a share of its change: blades, foliage"),
    "moving clouds": ("sky_motion", 0.15, "share of the sky that changes slowly"),
    "sunlight": ("texture_growth", -0.08, "growth of the background's texture where it changes; smoke veils it"),
    "lingering smoke": ("lingering", 0.22, "share of the smoke's pixels that never show a bare background"),
}


def box(image: np.ndarray, radius: int) -> np.ndarray:
    """Mean over a (2 radius + 1)^2 window, for (H, W), (H, W, C) or, frame by frame, (T, H, W, C)."""
    import cv2

    if image.ndim == 4:
        return np.stack([box(frame, radius) for frame in image])
    return cv2.blur(image, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT_101)


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

    Returns the frames and the first ratios (T, 3).
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


def gradient(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W): brightness change per pixel, the largest of a 3x3 neighbourhood."""
    import cv2

    rows, columns = np.gradient(image.mean(-1))
    return cv2.dilate(np.hypot(rows, columns).astype(np.float32), np.ones((3, 3), np.uint8))


def noise_level(difference: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, float]:
    """Noise of each pixel (H, W), and the camera's jitter in pixels.

    noise^2 = sensor^2 + (jitter |grad B|)^2: an edge that trembles by `jitter` pixels changes by as many gradients.
    """
    size = np.abs(difference).mean(-1)
    steepness = gradient(background)
    typical = np.median(size, axis=0)
    flat = steepness <= np.quantile(steepness, 0.5)
    steep = steepness >= max(np.quantile(steepness, 0.85), 0.02)
    sensor = max(1.25 * float(np.median(typical[flat])), MIN_NOISE)
    jitter = 1.25 * float(np.median(typical[steep] / steepness[steep])) if steep.sum() > 50 else 0.0
    return np.sqrt(sensor**2 + (jitter * steepness) ** 2).astype(np.float32), jitter


def texture(image: np.ndarray) -> np.ndarray:
    """(..., H, W, 3) -> (..., H, W): grey detail finer than 7 pixels."""
    return (image - box(image, 3)).mean(-1)


def region_texture(labels: np.ndarray, change: np.ndarray, still: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """By how much the background's texture grows, by label, in regions and their rims, where a sunlit roof shows."""
    import cv2

    wide = cv2.dilate(labels.astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int32).ravel()
    count = int(labels.max()) + 1
    agreement = np.bincount(wide, (change * still).ravel(), count)
    return agreement / np.bincount(wide, (still**2 + noise**2).ravel(), count).clip(1e-9)


def smoke_region(
    difference: np.ndarray, background: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
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


def smoke_colour(frames: np.ndarray, difference: np.ndarray, region: np.ndarray, sign: int) -> np.ndarray:
    """The clip's opaque smoke: mean colour of the 2 % of its smoke that is brightest (sign 1) or darkest (sign -1)."""
    inside = (region > 0) & (sign * difference.mean(-1) > 0)
    if inside.sum() < 50:
        return np.full(3, 1.0 if sign > 0 else 0.0, np.float32)
    colours = frames[inside]
    brightness = sign * colours.mean(-1)
    return colours[brightness >= np.quantile(brightness, 0.98)].mean(0)


def difference_matte(
    difference: np.ndarray, background: np.ndarray, bright: np.ndarray, dark: np.ndarray
) -> np.ndarray:
    """alpha = |mean D| / |mean (F - B)| (Smith & Blinn, 1996, for a foreground of known colour), (..., H, W) in [0, 1].

    Darker than a background that is itself dark is a shadow of smoke, not smoke: 0.
    """
    change = difference.mean(-1)
    level = background.mean(-1)
    upward = np.maximum(bright.mean() - level, MIN_CONTRAST)
    downward = np.maximum(level - dark.mean(), MIN_CONTRAST)
    alpha = np.where(change > 0, change / upward, -change / downward * (level > DARK_SMOKE_MIN_BACKGROUND))
    return np.clip(alpha, 0, 1).astype(np.float32)


def guided_filter(guide: np.ndarray, target: np.ndarray, radius: int = 3, epsilon: float = 4e-4) -> np.ndarray:
    """Edge-preserving smoothing of target by a grey guide, both (H, W) (He et al., TPAMI 2013, eqs. 5, 6 and 8)."""
    mean_guide, mean_target = box(guide, radius), box(target, radius)
    covariance = box(guide * target, radius) - mean_guide * mean_target
    slope = covariance / (box(guide * guide, radius) - mean_guide**2 + epsilon)
    return box(slope, radius) * guide + box(mean_target - slope * mean_guide, radius)


def closed_form(
    difference: np.ndarray, target: np.ndarray, confidence: np.ndarray, strength: float = 0.1
) -> np.ndarray:
    """Minimise alpha' L alpha + strength (alpha - target)' C (alpha - target), L the matting Laplacian of D.

    (Levin et al., TPAMI 2008, eq. 12; the soft prior as in He et al., CVPR 2009, eq. 14.)
    """
    import scipy.sparse
    from pymatting import cf_laplacian, cg, jacobi

    prior = scipy.sparse.diags(strength * confidence.ravel().astype(np.float64))
    system = (cf_laplacian((difference.astype(np.float64) + 1) / 2, epsilon=1e-5, radius=1) + prior).tocsr()
    start = target.ravel().astype(np.float64)
    alpha = cg(system, prior @ start, x0=start, M=jacobi(system), rtol=1e-4, maxiter=2000)
    return alpha.reshape(target.shape).astype(np.float32)


def refine(
    difference: np.ndarray, target: np.ndarray, region: np.ndarray, fade: np.ndarray, matting: str
) -> np.ndarray:
    """Alpha of one frame that follows D's edges inside the region and fades to exactly 0 outside it."""
    if not region.any():
        return np.zeros_like(target)
    if matting == "guided":
        alpha = guided_filter(difference.mean(-1), target)
    else:
        alpha = closed_form(difference, target * region, 0.05 + region)
    alpha = np.clip(alpha * fade, 0, 1)
    return np.where(alpha < VISIBLE_ALPHA, 0, alpha)


def premultiplied(difference: np.ndarray, background: np.ndarray, alpha: np.ndarray, target: np.ndarray) -> np.ndarray:
    """alpha F of one frame, (H, W, 3) with values in [0, alpha]: F = (D + a B) / a, both averaged over 3x3 pixels."""
    weight = np.maximum(box(np.maximum(alpha, target), 1), 1e-3)[..., None]
    colour = box(difference, 1) / weight + background
    colour = np.maximum(colour, 0) / np.maximum(colour.max(-1, keepdims=True), 1)
    return alpha[..., None] * colour


def find_occluders(alpha: np.ndarray) -> np.ndarray:
    """Chimneys in front of smoke, (T, H, W) -> (H, W) of 0 or 1: never smoky, with smoke close on both sides.

    They are where a closing by a row of pixels would lift the clip's mean alpha most of the way.
    """
    import cv2

    mean = box(alpha.mean(0), 1)
    closed = cv2.morphologyEx(mean, cv2.MORPH_CLOSE, np.ones((1, MAX_OCCLUDER_WIDTH), np.uint8))
    hidden = ((mean < 0.5 * closed) & (closed > MIN_OCCLUDED_ALPHA)).astype(np.uint8)
    hidden = cv2.morphologyEx(hidden, cv2.MORPH_OPEN, np.ones((9, 1), np.uint8))
    return cv2.dilate(hidden, np.ones((3, 3), np.uint8))


def fill_occluders(stack: np.ndarray, occluders: np.ndarray) -> np.ndarray:
    """Interpolate (T, H, W) or (T, H, W, C) along rows across the occluders, smoothed so that rows do not show."""
    filled = stack.copy()
    for row in np.flatnonzero(occluders.any(1)):
        edges = np.flatnonzero(np.diff(np.pad(occluders[row], 1).astype(np.int8)))
        for left, right in zip(edges[::2] - 1, edges[1::2], strict=True):
            if left >= 0 and right < stack.shape[2]:
                step = np.arange(1, right - left, dtype=np.float32) / (right - left)
                step = step.reshape(-1, *[1] * (stack.ndim - 3))
                ends = stack[:, row, left, None], stack[:, row, right, None]
                filled[:, row, left + 1 : right] = (1 - step) * ends[0] + step * ends[1]
    smooth = np.stack([box(frame, 3) for frame in filled])
    return np.where(occluders.astype(bool).reshape(occluders.shape + (1,) * (stack.ndim - 3)), smooth, filled)


def camera_shake(frames: np.ndarray, background: np.ndarray, region: np.ndarray) -> float:
    """Pixels by which the camera moves: 90th percentile of the frames' phase correlation shifts, smoke left out."""
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
    """Share of the sky that changes, where it changes slowly as clouds do; smoke comes and goes faster: 0."""
    sky = sky_of(background)
    active = sky & inside.any(0)
    if sky.sum() < 1500 or active.sum() < 100:
        return 0.0
    series = difference[:, active].mean(-1)
    series = series - series.mean(0)
    persistence = (series[1:] * series[:-1]).mean() / max((series**2).mean(), 1e-9)
    return float(inside[:, sky].mean() * (persistence > 0.85))


def measure(
    frames: np.ndarray, background: np.ndarray, width: np.ndarray, noise: np.ndarray, region: np.ndarray
) -> dict[str, float]:
    """What the criteria look at: numbers of one clip by name."""
    difference, inside = frames - background, region > 0
    if not inside.any():
        return {"shake": camera_shake(frames, background, region)}
    change = np.abs(difference).mean(-1)[inside].sum()
    detail = np.abs(difference - box(difference, 2)).mean(-1)[inside].sum()
    still = texture(background)
    growth = (texture(difference) * still)[inside].sum() / (inside * (still**2 + 1e-5)).sum()
    return {
        "shake": camera_shake(frames, background, region),
        "detail": float(detail / change),
        "sky_motion": sky_motion(difference, inside, background),
        "texture_growth": float(growth),
        "lingering": float((width > 1.5 * noise.min())[inside.any(0)].mean()),
    }


@dataclass
class CutOut:
    """Smoke of one clip on black.

    image: (T, size, size, 3) uint8, premultiplied colour, 0 where alpha is 0.
    alpha: (T, size, size) uint8.
    measures: what the criteria of `unclean` look at, by name.
    """

    image: np.ndarray
    alpha: np.ndarray
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def coverage(self) -> np.ndarray:
        """(T,) share of the pixels with visible smoke."""
        return (self.alpha >= 255 * VISIBLE_ALPHA).mean((1, 2))


def centre_square(frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) -> (T, S, S, 3), S the shorter side."""
    side = min(frames.shape[1:3])
    top, left = (frames.shape[1] - side) // 2, (frames.shape[2] - side) // 2
    return frames[:, top : top + side, left : left + side]


def working_size(frames: np.ndarray, size: int) -> np.ndarray:
    """Square frames, uint8, area-averaged to a side of at least 180 and `size`, as float32 in [0, 1]."""
    import cv2

    target = max(180, size)
    if target < frames.shape[1]:
        frames = np.stack([cv2.resize(frame, (target, target), interpolation=cv2.INTER_AREA) for frame in frames])
    return frames.astype(np.float32) / 255


def choose_gain(premultiplied_frames: np.ndarray, gain: float | None) -> float:
    """One factor per clip: `gain`, or what brings the brightest 1 % of its smoke to 0.85, between 1 and 4."""
    if gain is not None:
        return gain
    brightness = premultiplied_frames.max(-1)
    brightness = brightness[brightness > 2 / 255]
    return float(np.clip(0.85 / np.quantile(brightness, 0.99), 1, MAX_GAIN)) if brightness.size > 100 else 1.0


def cut_out(frames: np.ndarray, size: int = 64, matting: str = "guided", gain: float | None = None) -> CutOut:
    """Smoke of a clip, (T, H, W, 3) uint8, on black at size x size."""
    import cv2

    frames = working_size(centre_square(frames), size)
    frames, ratios = match_light(frames, estimate_background(frames)[0])
    background, width = estimate_background(frames)
    difference = frames - background
    noise, jitter = noise_level(difference, background)
    region, fade = map(np.stack, zip(*(smoke_region(frame, background, noise) for frame in difference), strict=True))
    bright, dark = (smoke_colour(frames, difference, region, sign) for sign in (1, -1))
    target = difference_matte(difference, background, bright, dark)
    alpha = np.stack([refine(*parts, matting) for parts in zip(difference, target, region, fade, strict=True)])
    colour = np.stack([premultiplied(d, background, a, t) for d, a, t in zip(difference, alpha, target, strict=True)])
    occluders = find_occluders(alpha)
    alpha, colour = fill_occluders(alpha, occluders), fill_occluders(colour, occluders)
    factor = choose_gain(colour, gain)

    def shrink(stack: np.ndarray) -> np.ndarray:
        small = np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in stack])
        return np.rint(255 * np.clip(factor * small, 0, 1)).astype(np.uint8)

    image, alpha_small = shrink(colour), shrink(alpha)
    image[alpha_small == 0] = 0
    alpha_small[image.max(-1) == 0] = 0
    measures = measure(frames, background, width, noise, region)
    measures |= {"light": float(np.abs(ratios - 1).max()), "jitter": jitter, "gain": factor}
    return CutOut(image, alpha_small, measures)


def unclean(measures: dict[str, float]) -> dict | None:
    """Why a clip gives no clean matte: the first criterion that it fails, as reason, detail, value and limit."""
    for reason, (name, limit, detail) in CRITERIA.items():
        if measures.get(name, limit) > limit:
            return {"reason": reason, "detail": detail, "value": measures[name], "limit": limit}
    return None
