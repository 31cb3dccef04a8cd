import torch
import torch.nn.functional as F

from smoke_vq.simulation.advection import maccormack, trace
from smoke_vq.simulation.interpolation import Table


def pad(fields: torch.Tensor) -> torch.Tensor:
    return F.pad(fields, (1, 1, 1, 1, 1, 1))


def blob(centre: float, size: int = 32, depth: int = 4) -> torch.Tensor:
    x = torch.arange(float(size))
    gauss = torch.exp(-((x - centre) ** 2) / 18)
    return (gauss[:, None] * gauss)[None, None, None].repeat(1, 1, depth, 1, 1)


def uniform(velocity: tuple[float, float, float], shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(velocity).view(1, 3, 1, 1, 1).expand(1, 3, *(n + 2 for n in shape)).contiguous()


def test_shifts_by_whole_cells_are_exact():
    field = blob(12.0)
    velocity = uniform((3.0, 2.0, 0.0), (4, 32, 32))
    moved = maccormack(field, velocity, 1.0, pad)
    torch.testing.assert_close(moved[..., 2:, 3:], field[..., :-2, :-3], atol=1e-6, rtol=0)


def test_is_more_accurate_than_one_trace_and_stays_within_bounds():
    """20 steps of 0.37 cells along x: MacCormack is second order, the semi-Lagrangian trace first order."""
    velocity = uniform((0.37, 0.0, 0.0), (4, 32, 32))
    corrected = plain = blob(12.0)
    for _ in range(20):
        corrected = maccormack(corrected, velocity, 1.0, pad)
        plain = trace(velocity, Table(velocity), 1.0)(Table(pad(plain)))
    x = torch.arange(32.0)
    gauss = torch.exp(-((x - 12.0 - 20 * 0.37) ** 2) / 18)
    expected = torch.exp(-((x - 12.0) ** 2) / 18)[:, None] * gauss
    error = [(field[0, 0, 2] - expected).abs().max() for field in (corrected, plain)]
    assert error[0] < 0.35 * error[1]  # the limiter clips the peak
    assert corrected.min() >= 0 and corrected.max() <= 1


def test_the_trace_is_second_order_in_a_vortex():
    """In a solid rotation, the error of one step is proportional to the cube of its length."""
    size = 66
    middle = (size - 1) / 2
    y, x = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    rotation = torch.stack([-(y - middle), x - middle, torch.zeros_like(x)])[None, :, None] * 0.05
    velocity = rotation.repeat(1, 1, 4, 1, 1)
    errors = []
    for dt in (4.0, 2.0):
        angle = 0.05 * dt
        end = trace(velocity, Table(velocity), dt)
        px = end.base % size + end.fraction[:, 0]
        px = px.view(end.points)[0, 0, 32]
        x0, y0 = torch.arange(1.0, size - 1) - middle, 33.0 - middle
        exact = torch.cos(torch.tensor(angle)) * x0 + torch.sin(torch.tensor(angle)) * y0 + middle
        errors.append((px - exact)[20:44].abs().max())
    assert errors[1] < 0.2 * errors[0]
