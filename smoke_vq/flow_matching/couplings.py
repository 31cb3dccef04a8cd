"""Couplings: random paths from a source at t = 0 to the data at t = 1, and the velocity that a sampler follows.

All of them are Gaussian: `x_t = t x_1 + b_t x_prev + c_t eta` with the next frames `x_1`, the previous frame `x_prev`
and standard normal `eta`. The velocity of a path is `x_1 + b'_t x_prev + c'_t eta`. The network predicts `x_1` from
`x_t`; by solving the path for `eta`, this gives the velocity, and the expectation of `x_1` gives the marginal velocity
(Lipman et al., 2023, arXiv:2210.02747, theorem 1).
"""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch

from ..registry import choose

_LATEST = 0.95  # the velocity from a predicted frame is taken at this time at the latest, because it divides by c_t


class Coupling(ABC):
    """A path between frames.

    Tensors x_1, x_prev, x_t are (B, ...) of one shape, and times t are (B,) in [0, 1].
    """

    is_random = True

    @abstractmethod
    def coefficients(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """`b_t, c_t` and their derivatives `b'_t, c'_t`, each (B,)."""

    def draw_times(self, num: int, generator: torch.Generator | None = None, device=None) -> torch.Tensor:
        """Times for training, (num,), uniform in [0, 1)."""
        return torch.rand(num, generator=generator, device=device)

    def path(self, frame: torch.Tensor, previous: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """`x_t`."""
        b, c, *_ = self._like(frame, t)
        return _expand(t, frame) * frame + b * previous + c * noise

    def path_velocity(
        self, frame: torch.Tensor, previous: torch.Tensor, noise: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        """The derivative of `path` by t."""
        *_, db, dc = self._like(frame, t)
        return frame + db * previous + dc * noise

    def velocity(self, x: torch.Tensor, frame: torch.Tensor, previous: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The marginal velocity at `x` and t, from the expectation of the next frames."""
        t = t.clamp(max=_LATEST)
        b, c, db, dc = self._like(x, t)
        return frame + db * previous + dc / c * (x - _expand(t, x) * frame - b * previous)

    def frame(self, x: torch.Tensor, velocity: torch.Tensor, previous: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The expectation of the next frames from the velocity: the inverse of `velocity`."""
        t = t.clamp(max=_LATEST)
        b, c, db, dc = self._like(x, t)
        return (velocity - db * previous - dc / c * (x - b * previous)) / (1 - dc / c * _expand(t, x))

    def loss_weight(self, t: torch.Tensor) -> torch.Tensor:
        """The factor from the squared error of a predicted frame to that of its velocity, (B,)."""
        t = t.clamp(max=_LATEST)
        _, c, _, dc = self.coefficients(t)
        return (1 - t * dc / c).square()

    def start(self, previous: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """`x_0`, where a sampler starts."""
        b, c, *_ = self._like(previous, previous.new_zeros(len(previous)))
        return b * previous + c * noise

    def _like(self, x: torch.Tensor, t: torch.Tensor) -> list[torch.Tensor]:
        return [_expand(value, x) for value in self.coefficients(t)]


class LinearCoupling(Coupling):
    """From noise to the frames in a straight line: `x_t = t x_1 + (1 - t) eta` (Davtyan et al., 2023, eq. 3)."""

    def coefficients(self, t):
        return torch.zeros_like(t), 1 - t, torch.zeros_like(t), -torch.ones_like(t)


class BridgeCoupling(Coupling):
    """A bridge from the previous frame: `x_t = t x_1 + (1 - t) x_prev + c_t eta` (Lim et al., 2024, arXiv:2410.03229).

    Args:
        sigma, sigma_min: `c_t^2 = sigma^2 t (1 - t) + sigma_min^2`.

    Raises:
        ValueError: sigma is negative, or sigma_min is not above 0.
    """

    def __init__(self, sigma: float = 0.5, sigma_min: float = 0.1):
        if not (0 <= sigma < math.inf and 0 < sigma_min < math.inf):
            raise ValueError(
                f"The bridge expects sigma of 0 or more and sigma_min above 0, found {sigma} and {sigma_min}."
            )
        self.sigma, self.sigma_min = sigma, sigma_min

    def coefficients(self, t):
        c = (self.sigma**2 * t * (1 - t) + self.sigma_min**2).sqrt()
        return 1 - t, c, -torch.ones_like(t), self.sigma**2 * (1 - 2 * t) / (2 * c)


class RegressionCoupling(Coupling):
    """No path: the network predicts the mean of the next frames in one evaluation at t = 0, from an `x_0` of zeros."""

    is_random = False

    def coefficients(self, t):
        zero = torch.zeros_like(t)
        return zero, zero, zero, zero

    def draw_times(self, num, generator=None, device=None):
        return torch.zeros(num, device=device)

    def velocity(self, x, frame, previous, t):
        return frame

    def frame(self, x, velocity, previous, t):
        return velocity

    def loss_weight(self, t):
        return torch.ones_like(t)


COUPLINGS: dict[str, type[Coupling]] = {
    "linear": LinearCoupling,
    "bridge": BridgeCoupling,
    "regression": RegressionCoupling,
}


def make_coupling(name: str, kwargs: Mapping[str, Any] | None = None) -> Coupling:
    """Build the coupling `COUPLINGS[name]`.

    Raises:
        ValueError: an unknown name; an unknown or invalid keyword argument.
    """
    coupling_class = choose(COUPLINGS, name, "coupling")
    known = [key for key in inspect.signature(coupling_class).parameters if key not in ("args", "kwargs")]
    unknown = [key for key in kwargs or {} if key not in known]
    if unknown:
        raise ValueError(f"Coupling {name!r} has no keyword {unknown[0]!r}: it takes {known or 'none'}.")
    return coupling_class(**(kwargs or {}))


def _expand(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(B,) to (B, 1, ...) with as many axes as `x`, in its dtype."""
    return values.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
