"""Radial power spectrum of frames."""

import torch

from ..pixels import to_rgb

LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709


def radial_power_spectrum(images: torch.Tensor) -> torch.Tensor:
    """Mean power of luminance by radial wavenumber, with a Hann window.

    Args:
        images: (B, 3, H, H), or grey (B, 1, H, H).

    Returns:
        (B, H // 2 - 1): the power at k waves per frame is at index k - 1, for k from 1 to H // 2 - 1.

    Raises:
        ValueError: frames that are not square.
    """
    size = images.shape[-1]
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[2] != size:
        raise ValueError(f"Expected square frames (B, 3, H, H), found {tuple(images.shape)}.")
    luminance = (to_rgb(images.float()) * images.new_tensor(LUMINANCE, dtype=torch.float32)[:, None, None]).sum(dim=1)
    window = torch.hann_window(size, periodic=True, device=images.device)
    power = torch.fft.fft2(luminance * window * window[:, None], norm="ortho").abs().square()
    waves = torch.fft.fftfreq(size, d=1 / size, device=images.device)
    radius = (waves.square() + waves[:, None].square()).sqrt().round().long()
    counts = torch.bincount(radius.flatten())
    sums = torch.zeros(len(images), len(counts), device=images.device).index_add_(1, radius.flatten(), power.flatten(1))
    return (sums / counts)[:, 1 : size // 2]


def spectral_slope(power: torch.Tensor, first: int = 3) -> float:
    """Exponent of a power law fitted to a mean spectrum (K,) from index `first` on; about -3 for smoke."""
    waves = torch.arange(first, len(power) + 1, dtype=torch.float64)
    x, y = waves.log(), power[first - 1 :].cpu().double().log()
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / x.square().sum())
