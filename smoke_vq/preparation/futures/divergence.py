"""How far the members of an ensemble are from the plume and from each other, by horizon."""

from collections.abc import Iterable

import numpy as np

from ...pixels import DATA_RANGE
from ...simulation import Futures

_STEP = DATA_RANGE / 255  # between two levels of uint8
_SMALLEST_MSE = 1e-10  # limits the PSNR of equal frames to 106 dB, as `metrics.ImageQuality` does


def divergence(futures: Iterable[Futures]) -> list[dict[str, float]]:
    """Differences between frames in [-1, 1], averaged over plumes, starts and members.

    Returns:
        One dict for each horizon 1, 2, 4, 8, ... up to the length of the members:
        horizon: frames from the last observed frame.
        rms: root mean square difference between the plume (member 0) and another member.
        psnr: the same in dB, as the mean of 10 log10(4 / mse).
        rms_between: root mean square difference between two members with consecutive numbers from 1 on.
    """
    from_plume, between = [], []
    for one in futures:
        values = one.image.astype(np.float32) * _STEP
        from_plume.append(_mean_square(values[1:] - values[:1]))
        between.append(_mean_square(values[2:] - values[1:-1]))
    from_plume, between = np.concatenate(from_plume), np.concatenate(between)
    psnr = 10 * np.log10(DATA_RANGE**2 / from_plume.clip(min=_SMALLEST_MSE))
    return [
        {
            "horizon": horizon,
            "rms": float(np.sqrt(from_plume[:, horizon - 1]).mean()),
            "psnr": float(psnr[:, horizon - 1].mean()),
            "rms_between": float(np.sqrt(between[:, horizon - 1]).mean()),
        }
        for horizon in horizons(from_plume.shape[1])
    ]


def horizons(num_frames: int) -> list[int]:
    """The powers of two up to `num_frames`."""
    return [2**n for n in range(num_frames.bit_length())]


def _mean_square(difference: np.ndarray) -> np.ndarray:
    """(N, T, H, W, 3) to (N, T)."""
    return np.square(difference).mean(axis=(2, 3, 4), dtype=np.float64)
