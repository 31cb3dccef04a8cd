"""Parameters of single plumes, drawn from a seed."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch


@dataclass(frozen=True)
class PlumeParameters:
    """Source, physics, recording and light of one plume.

    Lengths are fractions of the width of the domain (`z`: of its depth). Velocities are in reference cells (1/72 of the
    width) per unit of time, rates per unit of time. One frame is two units of time. `RANGES` lists the usual ranges.

    seed: seed of the noise.
    x, z: position of the source from the left and from the camera; y: its height above the ground.
    radius: radius of the source, a sphere with a soft border; elongation: ratio of its width to its height.
    second_distance: distance to a second, equal source on the right (0: no second source).
    rate: gain of density and temperature at the centre of the source.
    noise: standard deviation of the inflow relative to its mean.
    noise_length: length scale of the noise; the wavelengths are 0.6 to 1.8 times as long.
    pulse, pulse_period: amplitude (0 to 1) and period (in units of time) of a pulsating source.
    buoyancy: acceleration at temperature 1.
    wind_x, wind_z: wind at the top of the domain; it decreases towards the ground as height^0.3.
    cooling, dissipation: rates of decay of temperature and density.
    confinement: strength of vorticity confinement.
    viscosity: diffusion of momentum, heat and smoke by eddies smaller than a cell, in grid cells^2 per unit of time.
    warmup: frames before the recording starts; 0 records the onset of the plume.
    sigma, sigma_light: extinction per reference cell at density 1, for the camera and for the light.
    sun, ambient: radiance of the sun and the sky.
    sun_x, sun_z: horizontal distance, in cells, that the ray towards the sun covers per cell of height.
    sun_warmth: colour of the sun, -1 (blue) to 1 (red).
    albedo: share of the extinguished light that smoke scatters, 0 to 1.
    tint: relative difference of blue and red in the albedo.
    mirror: -1 mirrors the noise, 1 does not.
    """

    seed: int = 0
    x: float = 0.5
    y: float = 0.1
    z: float = 0.5
    radius: float = 0.065
    elongation: float = 1.0
    second_distance: float = 0.0
    rate: float = 1.2
    noise: float = 0.65
    noise_length: float = 0.125
    pulse: float = 0.0
    pulse_period: float = 24.0
    buoyancy: float = 0.06
    wind_x: float = 0.0
    wind_z: float = 0.0
    cooling: float = 0.014
    dissipation: float = 0.0025
    confinement: float = 0.16
    viscosity: float = 0.02
    warmup: int = 0
    sigma: float = 0.17
    sigma_light: float = 0.14
    sun: float = 1.1
    ambient: float = 0.15
    sun_x: float = 0.3
    sun_z: float = -0.3
    sun_warmth: float = 0.0
    albedo: float = 0.9
    tint: float = 0.0
    mirror: int = 1

    def mirrored(self) -> "PlumeParameters":
        """The same plume with left and right exchanged."""
        return replace(
            self,
            x=1.0 - self.x - (0.0 if self.second_distance == 0 else self.second_distance),
            wind_x=-self.wind_x,
            sun_x=-self.sun_x,
            mirror=-self.mirror,
        )

    def to_dict(self) -> dict[str, float | int]:
        """All parameters by name."""
        return asdict(self)


def parameter_column(plumes: Sequence[PlumeParameters], name: str, device: torch.device | str) -> torch.Tensor:
    """One parameter of all plumes, (B, 1, 1, 1)."""
    return torch.tensor([getattr(plume, name) for plume in plumes], device=device).view(-1, 1, 1, 1)


# Ranges in which plumes look like smoke. Parameters in LOGARITHMIC are drawn log-uniformly, the others uniformly.
LOGARITHMIC = {"radius", "buoyancy", "sigma"}
RANGES = {
    "x": (0.35, 0.65),
    "y": (0.05, 0.25),
    "z": (0.42, 0.58),
    "radius": (0.03, 0.09),
    "rate": (0.9, 1.6),
    "noise": (0.4, 0.9),
    "noise_length": (0.07, 0.18),
    "buoyancy": (0.01, 0.06),
    "wind_x": (-0.9, 0.9),
    "wind_z": (-0.2, 0.2),
    "cooling": (0.008, 0.02),
    "dissipation": (0.001, 0.004),
    "confinement": (0.08, 0.25),
    "sigma": (0.01, 0.2),
    "sigma_light": (0.05, 0.15),
    "sun": (0.95, 1.3),
    "ambient": (0.08, 0.22),
    "sun_x": (-0.8, 0.8),
    "sun_z": (-0.8, 0.2),
    "sun_warmth": (-0.5, 1.0),
    "albedo": (0.5, 1.0),
    "tint": (-0.06, 0.12),
}


def draw_parameters(seed: int) -> PlumeParameters:
    """Draw the parameters of a plume from a seed.

    All parameters are within `RANGES`. A quarter of the plumes have an elongated source, a quarter two
    sources (of which the first is moved to the left), and a quarter a pulsating source. About half of the recordings
    start at the onset of the plume.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()

    values = {}
    for name, (low, high) in RANGES.items():
        exponents = name in LOGARITHMIC
        values[name] = math.exp(uniform(math.log(low), math.log(high))) if exponents else uniform(low, high)
    kind = uniform(0, 1)
    extra = {"elongation": uniform(1.5, 3.0), "pulse": uniform(0.5, 1.0), "pulse_period": uniform(12, 40)}
    distance = uniform(0.15, 0.3)
    if kind < 0.25:
        values["elongation"] = extra["elongation"]
    elif kind < 0.5:
        values["second_distance"] = distance
        values["x"] -= distance / 2
    elif kind < 0.75:
        values |= {"pulse": extra["pulse"], "pulse_period": extra["pulse_period"]}
    onset, late = uniform(0, 1) < 0.5, uniform(12, 40)
    return PlumeParameters(seed=seed, warmup=int(uniform(0, 8)) if onset else int(late), **values)
