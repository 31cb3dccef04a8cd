"""Source of smoke: a soft sphere near the ground, multiplied by a drifting random field that makes it turbulent."""

import math
from collections.abc import Sequence

import torch

from .parameters import PlumeParameters, parameter_column

_NUM_MODES = 32
# A mode drifts upwards at a speed from 0.5 to 1, and its frequency also changes by a normal deviate times 0.2.
_MEAN_DRIFT, _HALF_DRIFT_RANGE, _CHANGE = 0.75, 0.25, 0.2


class NoisySource:
    """Inflow of a batch of plumes into the lowest cells of a grid.

    The noise is a sum of random Fourier modes (Kraichnan, *Diffusion by a random velocity field*, Phys. Fluids 13,
    1970, eq. 2.1) with wavelengths around `noise_length`, which drift upwards and change with time.

    Args:
        plumes: parameters, one per entry of the batch.
        shape: (Z, Y, X) of the grid.
        scale: grid cells per reference cell.
        reference_width: width of the domain in reference cells.
    """

    def __init__(
        self,
        plumes: Sequence[PlumeParameters],
        shape: tuple[int, int, int],
        scale: float,
        reference_width: int,
        device: torch.device | str = "cpu",
    ):
        depth, height, width = shape
        top = max((p.y + 3 * p.radius) for p in plumes) * width
        self.height = min(height, math.ceil(top))
        units = [self._noise_modes(plume, reference_width) for plume in plumes]
        wave, phase, frequency = (torch.stack(parts).to(device) for parts in zip(*units, strict=True))
        self.frequency, self.wave_y = frequency, wave[:, :, 1]
        # Positions are in reference cells from the centre of the width, so that mirroring only changes a sign.
        x = ((torch.arange(width, device=device) + 0.5) - width / 2) / scale
        y = (torch.arange(self.height, device=device) + 0.5) / scale
        z = ((torch.arange(depth, device=device) + 0.5) - depth / 2) / scale
        signs = torch.tensor([p.mirror for p in plumes], device=device)[:, None]
        x_phase = wave[:, :, 0, None] * (signs * x)[:, None]
        self.zy_phase = wave[:, :, 1, None, None] * y + wave[:, :, 2, None, None] * z[:, None] + phase[:, :, None, None]
        self.x_cos, self.x_sin = x_phase.cos(), x_phase.sin()
        self.sphere = torch.stack([self._sphere(p, x, y, z, reference_width) for p in plumes])
        self.noise, self.rate, self.pulse, self.period = (
            parameter_column(plumes, name, device) for name in ("noise", "rate", "pulse", "pulse_period")
        )

    def __call__(self, time: float) -> torch.Tensor:
        """Gain of density and temperature per unit of time in the lowest `height` cells, (B, Z, height, X)."""
        return self.inflow(self.field(self.frequency * time), time)

    def inflow(self, field: torch.Tensor, time: float) -> torch.Tensor:
        """The gain with the noise `field`, both (B, Z, height, X)."""
        puff = 1 + self.pulse * torch.sin(2 * math.pi * time / self.period)
        return self.rate * puff * self.sphere * (1 + self.noise * field).clamp(min=0)

    def field(self, angles: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """The noise, (B, Z, height, X), from what time adds to the phases of the modes and their weights, (B, 32)."""
        angles = self.zy_phase + angles[:, :, None, None]
        batch, modes, depth, height = angles.shape
        angles = angles.view(batch, modes, -1).transpose(1, 2)
        x_cos, x_sin = self.x_cos, self.x_sin
        if weights is not None:
            x_cos, x_sin = x_cos * weights[:, :, None], x_sin * weights[:, :, None]
        field = angles.cos() @ x_cos - angles.sin() @ x_sin
        return field.view(batch, depth, height, -1) * math.sqrt(2 / _NUM_MODES)

    def expected_field(self, time: float, elapsed: float) -> torch.Tensor:
        """Expectation of the noise at `time + elapsed`, given the noise at `time`: (B, Z, height, X).

        The frequency of a mode is random given its wave vector, so that the expectation drifts at the mean speed and
        decays: by the characteristic functions of a uniform drift and a normal change.
        """
        angles = self.frequency * time - _MEAN_DRIFT * elapsed * self.wave_y
        decay = torch.sinc(_HALF_DRIFT_RANGE * elapsed * self.wave_y / math.pi)
        return self.field(angles, decay * math.exp(-((_CHANGE * elapsed) ** 2) / 2))

    def _noise_modes(self, plume: PlumeParameters, reference_width: int) -> tuple[torch.Tensor, ...]:
        """Wave vectors (32, 3) in radians per reference cell, phases (32,) and frequencies (32,)."""
        generator = torch.Generator().manual_seed(plume.seed + 1)
        direction = torch.randn(_NUM_MODES, 3, generator=generator)
        direction = direction / direction.norm(dim=1, keepdim=True)
        spread = 0.6 + 1.2 * torch.rand(_NUM_MODES, 1, generator=generator)
        wave = direction * 2 * math.pi / (plume.noise_length * reference_width * spread)
        phase = 2 * math.pi * torch.rand(_NUM_MODES, generator=generator)
        drift = 0.5 + 0.5 * torch.rand(_NUM_MODES, generator=generator)
        change = 0.2 * torch.randn(_NUM_MODES, generator=generator)
        return wave, phase, -wave[:, 1] * drift + change

    def _sphere(self, plume: PlumeParameters, x, y, z, reference_width: int) -> torch.Tensor:
        """(Z, height, X), 1 up to 0.8 radii from the centre, decreasing to 0 at 1.2 radii."""
        radius = plume.radius * reference_width
        centres = [plume.x] if plume.second_distance == 0 else [plume.x, plume.x + plume.second_distance]
        vertical = (y - plume.y * reference_width)[None, :, None]
        depth = (z - (plume.z - 0.5) * reference_width * len(z) / len(x))[:, None, None] if len(z) > 1 else 0.0
        total = torch.zeros(len(z), len(y), len(x), device=x.device)
        for centre in centres:
            across = (x - (centre - 0.5) * reference_width)[None, None] / plume.elongation
            distance = (across**2 + vertical**2 + depth**2) ** 0.5 / radius
            total = torch.maximum(total, ((1.2 - distance) / 0.4).clamp(0, 1))
        return total


class ContinuedSource:
    """A source whose noise is equal to that of `past` at one time, and random from then on.

    This is conditional simulation by Matheron's rule (Journel and Huijbregts, *Mining Geostatistics*, 1978): the noise
    of `fresh`, plus the expected future of the difference between both at `time`. If noise is Gaussian, which it is
    approximately with 32 modes, the noise of `past` after `time` has the same distribution, given its noise at `time`.

    Args:
        past, fresh: sources of the same plumes with other noise.
        time: units of time since the start.
    """

    def __init__(self, past: NoisySource, fresh: NoisySource, time: float):
        self.past, self.fresh, self.time, self.height = past, fresh, time, fresh.height

    def __call__(self, time: float) -> torch.Tensor:
        """As `NoisySource`, for times from `self.time` on."""
        return self.fresh.inflow(self.field(time), time)

    def field(self, time: float) -> torch.Tensor:
        """The noise, (B, Z, height, X)."""
        elapsed = time - self.time
        past, fresh = (source.expected_field(self.time, elapsed) for source in (self.past, self.fresh))
        return self.fresh.field(self.fresh.frequency * time) + past - fresh
