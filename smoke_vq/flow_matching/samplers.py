"""Samplers: numerical solutions of the flow's differential equation from t = 0 to t = 1."""

from collections.abc import Callable

import torch

from ..registry import choose

# The name of each sampler: its method in torchdiffeq, and its evaluations of the velocity in each step.
SAMPLERS = {"euler": ("euler", 1), "heun": ("heun2", 2), "rk4": ("rk4", 4)}


@torch.no_grad()
def sample(
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    start: torch.Tensor,
    num_evaluations: int,
    sampler: str = "euler",
) -> torch.Tensor:
    """Integrate `dx/dt = velocity(x, t)` from `start` at t = 0 to t = 1 on a uniform grid.

    The last step is an Euler step with each sampler, so that the velocity is not evaluated at t = 1, where it is often
    singular (Karras et al., 2022, arXiv:2206.00364, algorithm 1). With n evaluations, Euler takes n steps, Heun's
    method (n - 1) // 2 + 1 and the classical Runge-Kutta method (3/8 rule) (n - 1) // 4 + 1.

    Args:
        velocity: (x (B, ...), t (B,)) to (B, ...).
        start: (B, ...).
        num_evaluations: evaluations of the velocity, at most; 1 or more.
        sampler: a name in `SAMPLERS`.

    Raises:
        ValueError: an unknown sampler, or too few evaluations for one step of it.
    """
    method, evaluations_per_step = choose(SAMPLERS, sampler, "sampler")
    num_steps = (num_evaluations - 1) // evaluations_per_step + 1
    least = 1 + evaluations_per_step if evaluations_per_step > 1 else 1
    if num_evaluations < least:
        raise ValueError(f"The sampler {sampler!r} needs {least} or more evaluations, found {num_evaluations}.")

    def at(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return velocity(x, t.expand(len(x)))

    x, step = start, 1 / num_steps
    if num_steps > 1:
        from torchdiffeq import odeint

        grid = torch.linspace(0, 1 - step, num_steps, device=start.device)
        x = odeint(at, start, grid[[0, -1]], method=method, options={"grid_constructor": lambda *_: grid})[-1]
    return x + step * at(torch.tensor(1 - step, device=start.device), x)
