"""Statistics that compare datasets of smoke without pairing their frames."""

import numpy as np
import torch

from .figure import Figure
from .power_spectrum import radial_power_spectrum, spectral_slope

VISIBLE = 12  # of 255: opacity from which a pixel counts as smoke
_PERCENTILES = (5, 50, 95)
_BATCH = 1024

# The order is that of the table.
STATISTICS = (
    Figure("coverage", "coverage", format=".3f", meaning="share of pixels with smoke"),
    Figure("opacity", "opacity", format=".2f", meaning="mean alpha of these pixels"),
    *(
        Figure(f"brightness_p{p}", f"brightness, {p}%", format=".2f", meaning=f"percentile {p} of their mean channel")
        for p in _PERCENTILES
    ),
    Figure("colour", "colour", format="+.2f", meaning="their mean (red - blue) / mean channel"),
    Figure("spectral_slope", "spectral slope", format=".2f", meaning="exponent of the mean radial power spectrum"),
    Figure("frame_change", "frame change", format=".3f", meaning="change between consecutive frames, relative"),
    Figure("num_frames", "frames", format="d", meaning="number of frames"),
)


def smoke_statistics(image: np.ndarray, alpha: np.ndarray, sequence: np.ndarray) -> dict[str, float]:
    """The `STATISTICS` of a dataset; brightness is in [0, 1].

    `frame_change` is the mean absolute difference of consecutive frames of a sequence where either shows smoke, divided
    by the mean brightness there, or None where no frame follows another.

    Args:
        image: (N, H, H, 3) uint8.
        alpha: (N, H, H) uint8.
        sequence: (N,), equal for consecutive frames of the same sequence.

    Raises:
        ValueError: no pixel shows smoke.
    """
    smoke = alpha >= VISIBLE
    if not smoke.any():
        raise ValueError(f"None of the {len(image)} frames shows smoke (alpha of {VISIBLE} of 255 or more).")
    grey = image.mean(axis=3, dtype=np.float32) / 255
    visible = grey[smoke]
    colours = image[smoke].astype(np.float32)
    together = sequence[1:] == sequence[:-1]
    either = (smoke[1:] | smoke[:-1])[together]
    change = np.abs(grey[1:] - grey[:-1])[together][either].sum()
    level = ((grey[1:] + grey[:-1]) / 2)[together][either].sum()
    power = [
        radial_power_spectrum(torch.from_numpy(image[i : i + _BATCH]).permute(0, 3, 1, 2) / 255).sum(dim=0)
        for i in range(0, len(image), _BATCH)
    ]
    return {
        "coverage": float(smoke.mean()),
        "opacity": float(alpha[smoke].mean() / 255),
        **{f"brightness_p{p}": float(np.percentile(visible, p)) for p in _PERCENTILES},
        "colour": float(((colours[:, 0] - colours[:, 2]) / colours.mean(axis=1).clip(1)).mean()),
        "spectral_slope": spectral_slope(torch.stack(power).sum(dim=0) / len(image)),
        "frame_change": float(change / level) if level > 0 else None,
        "num_frames": len(image),
    }
