"""Couplings and samplers against closed forms and against facebookresearch/flow_matching."""

import pytest
import torch

from smoke_vq.flow_matching import COUPLINGS, SAMPLERS, make_coupling, sample

RANDOM = [name for name in COUPLINGS if COUPLINGS[name].is_random]


def tensors(num: int = 64, shape: tuple = (3,), seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(num, *shape, generator=generator, dtype=torch.float64) for _ in range(3)]


def times(num: int = 64) -> torch.Tensor:
    return torch.linspace(0.01, 0.94, num, dtype=torch.float64)


@pytest.mark.parametrize("name", RANDOM)
def test_the_velocity_is_the_derivative_of_the_path(name):
    coupling, t = make_coupling(name), times().requires_grad_()
    frame, previous, noise = tensors()
    _, derivative = torch.autograd.functional.jvp(
        lambda t: coupling.path(frame, previous, noise, t), t, torch.ones_like(t)
    )
    torch.testing.assert_close(coupling.path_velocity(frame, previous, noise, t), derivative)


@pytest.mark.parametrize("name", RANDOM)
def test_velocity_and_frame_are_inverse_and_the_weight_is_their_factor(name):
    coupling, t = make_coupling(name), times()
    frame, previous, noise = tensors()
    x = coupling.path(frame, previous, noise, t)
    velocity = coupling.velocity(x, frame, previous, t)
    torch.testing.assert_close(velocity, coupling.path_velocity(frame, previous, noise, t))
    torch.testing.assert_close(coupling.frame(x, velocity, previous, t), frame)
    error = coupling.velocity(x, frame + 1, previous, t) - velocity
    torch.testing.assert_close(error.square().mean(dim=1), coupling.loss_weight(t))


def test_the_linear_path_is_that_of_flow_matching():
    path = pytest.importorskip("flow_matching.path")
    frame, previous, noise = tensors()
    theirs = path.CondOTProbPath().sample(x_0=noise, x_1=frame, t=times())
    coupling = make_coupling("linear")
    torch.testing.assert_close(coupling.path(frame, previous, noise, times()), theirs.x_t)
    torch.testing.assert_close(coupling.path_velocity(frame, previous, noise, times()), theirs.dx_t)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", RANDOM)
def test_a_gaussian_is_transported_to_a_gaussian(name, sampler):
    """Next frames x_1 ~ N(m, s^2) have the expectation m + t s^2 (x_t - E x_t) / (t^2 s^2 + c_t^2) given x_t."""
    coupling, (mean, std) = make_coupling(name), (0.8, 0.5)
    previous = torch.full((20_000, 1), 0.3, dtype=torch.float64)

    def velocity(x, t):
        b, c, *_ = (value[:, None] for value in coupling.coefficients(t.clamp(max=0.95)))
        t_ = t.clamp(max=0.95)[:, None]
        centre = t_ * mean + b * previous
        frame = mean + t_ * std**2 * (x - centre) / (t_**2 * std**2 + c**2)
        return coupling.velocity(x, frame, previous, t)

    noise = torch.randn(previous.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    end = sample(velocity, coupling.start(previous, noise), 101, sampler)
    assert float(end.mean()) == pytest.approx(mean, abs=0.01)
    assert float(end.std()) == pytest.approx(
        (std**2 + coupling.coefficients(end.new_ones(1))[1].item() ** 2) ** 0.5, rel=0.05
    )


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_a_sampler_has_its_order(sampler, order):
    """On dx/dt = -x up to the start of the last step, which is an Euler step."""
    start = torch.ones(1, 1, dtype=torch.float64)
    errors = []
    for num_steps in (9, 17):
        evaluations = SAMPLERS[sampler][1] * (num_steps - 1) + 1
        step = 1 / num_steps
        end = sample(lambda x, t: -x, start, evaluations, sampler)
        errors.append(abs(float(end) / (1 - step) - float(torch.tensor(step - 1).double().exp())))
    assert torch.tensor(errors[0] / errors[1]).log2().item() == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize(
    ("sampler", "given", "used"), [("euler", 10, 10), ("heun", 10, 9), ("rk4", 100, 97), ("euler", 1, 1)]
)
def test_no_more_evaluations_than_asked_for(sampler, given, used):
    seen = []

    def velocity(x, t):
        seen.append(float(t[0]))
        return x

    sample(velocity, torch.ones(2, 1), given, sampler)
    assert len(seen) == used and seen[0] == 0 and max(seen) < 1


def test_one_evaluation_of_a_regression_is_its_prediction():
    coupling, (frame, previous, noise) = make_coupling("regression"), tensors()
    start = coupling.start(previous, noise)
    assert not start.any()
    torch.testing.assert_close(sample(lambda x, t: coupling.velocity(x, frame, previous, t), start, 1), frame)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_coupling("brigde"), r"Unknown coupling 'brigde': expected one of \['bridge', 'linear'"),
        (lambda: make_coupling("bridge", {"sigmas": 1}), r"Coupling 'bridge' has no keyword 'sigmas': it takes"),
        (lambda: make_coupling("bridge", {"sigma_min": 0}), "sigma_min above 0, found 0.5 and 0"),
        (lambda: sample(lambda x, t: x, torch.ones(1), 1, "heun"), "'heun' needs 3 or more evaluations, found 1"),
        (lambda: sample(lambda x, t: x, torch.ones(1), 0), "'euler' needs 1 or more evaluations, found 0"),
        (lambda: sample(lambda x, t: x, torch.ones(1), 4, "rk5"), "Unknown sampler 'rk5'"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
