"""Renderer of lit smoke on black: absorption and scattering along parallel rays, with light marched from above.

The camera is far away and looks along +Z. Transmittance follows the Beer-Lambert law. The source term is single
scattering with octaves that approximate multiple scattering (Wrenninge, Kulla and Lundqvist, *Oz: the Great and
Volumetric*, SIGGRAPH 2013 talk; Wrenninge, *Art-Directable Multiple Volumetric Scattering*, SIGGRAPH 2015): octave n
has a share of 0.5^n of the light, and its extinction is multiplied by 0.4^n.
"""

from collections.abc import Sequence
from functools import partial

import torch

from .parameters import PlumeParameters, parameter_column

NUM_OCTAVES = 3
OCTAVE_SHARE = 0.5
OCTAVE_EXTINCTION = 0.4


def render(
    density: torch.Tensor, plumes: Sequence[PlumeParameters], scale: float = 1.0, thickness: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render smoke.

    Args:
        density: (B, Z, Y, X), Z away from the camera, Y upwards.
        plumes: optical parameters, one per entry of the batch.
        scale: grid cells per reference cell.
        thickness: depth of one slice in grid cells; above 1 for two dimensions.

    Returns:
        Radiance on black (premultiplied by alpha), (B, 3, Y, X), linear, top row first.
        Alpha, (B, 1, Y, X) in [0, 1].
    """
    column = partial(parameter_column, plumes, device=density.device)
    step = thickness / scale
    depth = column("sigma") * step * density
    before = depth.cumsum(dim=1) - depth
    weight = torch.exp(-before) - torch.exp(-before - depth)  # share of the light of each cell that reaches the camera
    light = column("sigma_light") / scale
    sun = sunlight(density * light, column("sun_x"), column("sun_z") * (density.shape[1] > 1))
    sky = shadow(density * light)
    octaves = sum(OCTAVE_SHARE**n * torch.exp(-(OCTAVE_EXTINCTION**n) * sun) for n in range(NUM_OCTAVES))
    octaves = octaves / sum(OCTAVE_SHARE**n for n in range(NUM_OCTAVES))
    direct = (weight * octaves).sum(dim=1, keepdim=True) * column("sun")
    diffuse = (weight * torch.exp(-OCTAVE_EXTINCTION * sky)).sum(dim=1, keepdim=True) * column("ambient")
    warmth, tint = 0.12 * column("sun_warmth"), column("tint")
    warm = torch.cat([1 + warmth, torch.ones_like(warmth), 1 - warmth], dim=1)
    cool = torch.cat([torch.full_like(tint, 0.9), torch.ones_like(tint), torch.full_like(tint, 1.15)], dim=1)
    albedo = column("albedo") * torch.cat([1 - tint / 2, torch.ones_like(tint), 1 + tint / 2], dim=1)
    radiance = albedo * (direct * warm + diffuse * cool)
    alpha = 1 - torch.exp(-depth.sum(dim=1, keepdim=True))
    return radiance.flip(2), alpha.flip(2)


def shadow(extinction: torch.Tensor) -> torch.Tensor:
    """Optical depth of the smoke above each cell, (B, Z, Y, X), including half of the cell."""
    return extinction.flip(2).cumsum(dim=2).flip(2) - extinction / 2


def sunlight(extinction: torch.Tensor, sun_x: torch.Tensor, sun_z: torch.Tensor) -> torch.Tensor:
    """Optical depth between each cell and the sun, (B, Z, Y, X).

    Depth is accumulated slice by slice from the top; between slices it is shifted along the ray.

    Args:
        extinction: per cell, (B, Z, Y, X).
        sun_x, sun_z: horizontal distance in cells that the ray towards the sun covers per cell of height, in [-1, 1],
            (B, 1, 1, 1).
    """
    length = (1 + sun_x**2 + sun_z**2).sqrt()
    extinction = extinction * length
    depths = [torch.zeros_like(extinction[:, :, -1])]
    for row in range(extinction.shape[2] - 1, 0, -1):
        depths.append(_shift(_shift(depths[-1] + extinction[:, :, row], sun_x[..., 0], 2), sun_z[..., 0], 1))
    return torch.stack(depths[::-1], dim=2) + extinction / 2


def _shift(field: torch.Tensor, distance: torch.Tensor, axis: int) -> torch.Tensor:
    """Sample `field` at positions shifted by `distance` in [-1, 1] along an axis; the outside is 0."""
    size = field.shape[axis]
    if size == 1:
        return field
    zero = torch.zeros_like(field.narrow(axis, 0, 1))
    ahead = torch.cat([field.narrow(axis, 1, size - 1), zero], dim=axis)
    behind = torch.cat([zero, field.narrow(axis, 0, size - 1)], dim=axis)
    return (1 - distance.abs()) * field + distance.clamp(min=0) * ahead - distance.clamp(max=0) * behind


def to_srgb(radiance: torch.Tensor) -> torch.Tensor:
    """Convert linear light to sRGB values in [0, 1] (IEC 61966-2-1)."""
    radiance = radiance.clamp(0, 1)
    return torch.where(radiance <= 0.0031308, 12.92 * radiance, 1.055 * radiance.clamp(min=1e-8) ** (1 / 2.4) - 0.055)


def from_srgb(values: torch.Tensor) -> torch.Tensor:
    """Convert sRGB values in [0, 1] to linear light."""
    return torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
