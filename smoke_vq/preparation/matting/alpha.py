"""Alpha and premultiplied colour of smoke, estimated from the difference D = I - B between frame and background.

The camera does not move: a frame is I = (1 - alpha) B + alpha F with one background B per clip (Porter & Duff, 1984).
Alpha starts as a difference matte with the smoke colour F of the clip and is then refined to follow the edges of D. He
et al. estimate the transmission of haze with the same image model in the same two ways: by the matting Laplacian with
the first matte as a soft prior ("closed-form", CVPR 2009, eq. 14), and by the faster guided filter ("guided", TPAMI
2013).

On RISE, the two mattes differ by a mean |alpha difference| of 0.006 to 0.022 within smoke. A frame of 180x180 takes
1-2 ms (guided) or 7-1160 ms (closed-form). On six frames with thick plumes, thin smoke and hard edges, the cut-outs at
64x64 looked the same and had the same errors, which come from the region (region.py), so "guided" is the default.
"""

import numpy as np

from .image_filters import box, brightest, grey

MATTINGS = ("guided", "closed-form")

# Smoke that differs this much from the brightness of the background is opaque, even if no thicker smoke is in the clip.
_MIN_CONTRAST = 0.25
_DARK_SMOKE_MIN_BACKGROUND = 0.45
VISIBLE_ALPHA = 8 / 255


def smoke_colour(frames: np.ndarray, difference: np.ndarray, region: np.ndarray, sign: int) -> np.ndarray:
    """Colour of opaque smoke, (3,): mean of the brightest (sign 1) or darkest (sign -1) 2 % of the smoke of a clip.

    Args:
        frames, difference: (T, H, W, 3).
        region: (T, H, W), 0 or 1.
    """
    inside = (region > 0) & (sign * grey(difference) > 0)
    if inside.sum() < 50:
        return np.full(3, 1.0 if sign > 0 else 0.0, np.float32)
    colours = frames[inside]
    brightness = sign * grey(colours)
    return colours[brightness >= np.quantile(brightness, 0.98)].mean(0)


def difference_matte(
    difference: np.ndarray, background: np.ndarray, bright: np.ndarray, dark: np.ndarray
) -> np.ndarray:
    """alpha = |mean D| / |mean (F - B)| (Smith & Blinn, 1996, for a foreground of known colour), (..., H, W) in [0, 1].

    Alpha is 0 where a frame is darker than a dark background: these are shadows of smoke.

    Args:
        difference: D, (..., H, W, 3).
        background: B, (H, W, 3).
        bright, dark: F where D is positive or negative, (3,).
    """
    change = grey(difference)
    level = grey(background)
    upward = np.maximum(bright.mean() - level, _MIN_CONTRAST)
    downward = np.maximum(level - dark.mean(), _MIN_CONTRAST)
    alpha = np.where(change > 0, change / upward, -change / downward * (level > _DARK_SMOKE_MIN_BACKGROUND))
    return np.clip(alpha, 0, 1).astype(np.float32)


def refine(
    difference: np.ndarray, target: np.ndarray, region: np.ndarray, fade: np.ndarray, matting: str
) -> np.ndarray:
    """Alpha of one frame, (H, W), which follows the edges of D within the region and fades to exactly 0 outside.

    Args:
        difference: D, (H, W, 3).
        target: the difference matte, (H, W).
        region, fade: return values of `smoke_region`, (H, W).
        matting: one of MATTINGS.
    """
    if not fade.any():
        return np.zeros_like(target)
    if matting == "guided":
        alpha = guided_filter(grey(difference), target)
    else:
        rows, columns = (np.flatnonzero(fade.any(axis)) for axis in (1, 0))
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        alpha = np.zeros_like(target)
        alpha[part] = _closed_form(difference[part], (target * region)[part], 0.05 + region[part])
    alpha = np.clip(alpha * fade, 0, 1)
    return np.where(alpha < VISIBLE_ALPHA, 0, alpha)


def guided_filter(guide: np.ndarray, target: np.ndarray, radius: int = 3, epsilon: float = 4e-4) -> np.ndarray:
    """Smooth target, keeping the edges of a grey guide; both (H, W) (He et al., TPAMI 2013, eqs. 5, 6 and 8)."""
    mean_guide, mean_target = box(guide, radius), box(target, radius)
    covariance = box(guide * target, radius) - mean_guide * mean_target
    slope = covariance / (box(guide * guide, radius) - mean_guide**2 + epsilon)
    return box(slope, radius) * guide + box(mean_target - slope * mean_guide, radius)


def _closed_form(
    difference: np.ndarray, target: np.ndarray, confidence: np.ndarray, strength: float = 0.1
) -> np.ndarray:
    """Minimise alpha' L alpha + strength (alpha - target)' C (alpha - target), where L is the matting Laplacian of D.

    See Levin et al., TPAMI 2008, eq. 12, and for the soft prior He et al., CVPR 2009, eq. 14.

    Args:
        difference: D, (H, W, 3).
        target: the prior, (H, W).
        confidence: the diagonal of C, (H, W).
    """
    import scipy.sparse
    from pymatting import cf_laplacian, cg, jacobi

    prior = scipy.sparse.diags(strength * confidence.ravel().astype(np.float64))
    system = (cf_laplacian((difference.astype(np.float64) + 1) / 2, epsilon=1e-5, radius=1) + prior).tocsr()
    start = target.ravel().astype(np.float64)
    alpha = cg(system, prior @ start, x0=start, M=jacobi(system), rtol=1e-3, maxiter=5000)
    return alpha.reshape(target.shape).astype(np.float32)


def premultiplied(difference: np.ndarray, background: np.ndarray, alpha: np.ndarray, target: np.ndarray) -> np.ndarray:
    """alpha F of one frame, (H, W, 3) in [0, alpha], with F = D / alpha + B averaged over 3x3 pixels."""
    weight = np.maximum(box(np.maximum(alpha, target), 1), 1e-3)[..., None]
    colour = box(difference, 1) / weight + background
    colour = np.maximum(colour, 0) / np.maximum(brightest(colour), 1)[..., None]
    return alpha[..., None] * colour
