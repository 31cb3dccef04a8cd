"""What can be compared between two datasets of smoke without pairing their frames."""

import numpy as np
import torch

from .power_spectrum import radial_power_spectrum, spectral_slope

VISIBLE = 12  # of 255: opacity from which a pixel counts as smoke
PERCENTILES = (5, 50, 95)
BATCH = 1024
# Names and their formats, in the order in which a table lists them.
STATISTICS_TABLE = {
    "coverage": "{:.3f}",
    "opacity": "{:.2f}",
    "brightness_p5": "{:.2f}",
    "brightness_p50": "{:.2f}",
    "brightness_p95": "{:.2f}",
    "colour": "{:+.2f}",
    "spectral_slope": "{:.2f}",
    "frame_change": "{:.3f}",
    "num_frames": "{:d}",
}


def smoke_statistics(image: np.ndarray, alpha: np.ndarray, sequence: np.ndarray) -> dict[str, float]:
    """Statistics of frames of smoke.

    - `coverage`: share of pixels with smoke; `opacity`: mean alpha of these;
    - `brightness_p5`, `_p50`, `_p95`: percentiles of their mean channel, 0 to 1;
    - `colour`: mean over them of (red - blue) / mean channel;
    - `spectral_slope`: exponent of the mean radial power spectrum;
    - `frame_change`: mean absolute difference of consecutive frames of a sequence where either shows smoke, over the
      mean brightness there; None where no frame follows another.

    Args:
        image: (N, H, H, 3) uint8. alpha: (N, H, H) uint8.
        sequence: (N,), equal for frames of one sequence, which follow each other.
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
        radial_power_spectrum(torch.from_numpy(image[i : i + BATCH]).permute(0, 3, 1, 2) / 255).sum(dim=0)
        for i in range(0, len(image), BATCH)
    ]
    return {
        "coverage": float(smoke.mean()),
        "opacity": float(alpha[smoke].mean() / 255),
        **{f"brightness_p{p}": float(np.percentile(visible, p)) for p in PERCENTILES},
        "colour": float(((colours[:, 0] - colours[:, 2]) / colours.mean(axis=1).clip(1)).mean()),
        "spectral_slope": spectral_slope(torch.stack(power).sum(dim=0) / len(image)),
        "frame_change": float(change / level) if level > 0 else None,
        "num_frames": len(image),
    }
