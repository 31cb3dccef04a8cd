import numpy as np
import pytest
import torch

from smoke_vq.simulation import PlumeParameters, PlumeSettings, PlumeSolver, draw_parameters, film
from smoke_vq.simulation.projection import divergence
from smoke_vq.simulation.solver import laplacian, vorticity_confinement

SCALE = 0.25


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plume(**changes) -> PlumeParameters:
    return PlumeParameters(**{"seed": 3, "confinement": 0.1} | changes)


def centre_of_mass(solver: PlumeSolver) -> tuple[float, float]:
    """(x, y) in cells."""
    mass = solver.density[0]
    y, x = (torch.arange(float(mass.shape[axis])) for axis in (1, 2))
    return ((mass.sum((0, 1)) * x).sum() / mass.sum()).item(), ((mass.sum((0, 2)) * y).sum() / mass.sum()).item()


def outflow(solver: PlumeSolver, dt: float) -> float:
    """Smoke that leaves through the open sides in `dt`, to first order in time."""
    x, y, z = (face[0] for face in solver.faces)
    density = solver.density[0]
    sides = [
        (density[..., 0], -x[..., 0]),
        (density[..., -1], x[..., -1]),
        (density[:, -1], y[:, -1]),
        (density[0], -z[0]),
        (density[-1], z[-1]),
    ]
    return dt * sum((smoke * speed.clamp(min=0)).sum().item() for smoke, speed in sides)


@pytest.mark.parametrize("seed", [5, 13])
def test_advection_conserves_mass(seed):
    """To about 1 % per step, without what leaves through the open sides."""
    solver = PlumeSolver([draw_parameters(seed)])
    changes = []
    for _ in range(20):
        before, out = solver.density.sum().item(), outflow(solver, solver.dt)
        solver.advect()
        if before > 0:
            changes.append((solver.density.sum().item() + out - before) / before)
        solver.add_smoke()
        solver.add_forces()
        solver.velocity, solver.faces = solver.project(solver.velocity, solver.wind_x, solver.wind_z)
        solver.time += solver.dt
    assert abs(np.mean(changes)) < 0.01 and np.abs(changes).max() < 0.025, changes


def test_smoke_equals_inflow_minus_dissipation():
    """Without advection."""
    solver = PlumeSolver([plume(dissipation=0.01)], SCALE)
    total = 0.0
    for _ in range(5):
        gain = solver.dt * solver.source(solver.time).sum().item()
        solver.add_smoke()
        solver.time += solver.dt
        total = total * np.exp(-0.01 * solver.dt) + gain
    assert solver.density.sum().item() == pytest.approx(total, rel=1e-4)


def test_the_flow_stays_divergence_free():
    solver = PlumeSolver([plume(), plume(wind_x=0.6, seed=4)], SCALE)
    for _ in range(10):
        solver.step()
        assert divergence(solver.faces).abs().max() < 1e-5 * max(1, solver.velocity.abs().max())
    assert (solver.density >= 0).all()


def test_buoyancy_lifts_smoke_and_wind_moves_it():
    heights, places = {}, {}
    for name, changes in {
        "calm": {},
        "cold": {"buoyancy": 0.0},
        "hot": {"buoyancy": 0.12},
        "right": {"wind_x": 0.6},
        "left": {"wind_x": -0.6},
    }.items():
        solver = PlumeSolver([plume(**changes)], SCALE)
        for _ in range(8):
            solver.step()
        places[name], heights[name] = centre_of_mass(solver)
    assert heights["cold"] + 0.5 < heights["calm"] < heights["hot"]
    assert places["left"] + 0.3 < places["calm"] < places["right"] - 0.3


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("seed", [2, 7])
def test_mirrored_parameters_give_mirrored_frames(dimensions, seed):
    """Only the first frames, because turbulence amplifies rounding errors."""
    settings = PlumeSettings(size=16, num_frames=8, dimensions=dimensions)
    parameters = PlumeParameters(**draw_parameters(seed).to_dict() | {"warmup": 0})
    [original], [mirrored] = film([parameters], settings), film([parameters.mirrored()], settings)
    assert original.alpha.max() > 100
    np.testing.assert_allclose(mirrored.image[:, :, ::-1].astype(int), original.image, atol=1)
    assert parameters.mirrored().mirrored().to_dict() == pytest.approx(parameters.to_dict())


def test_a_batch_equals_single_plumes():
    parameters = [plume(seed=1), plume(seed=2, wind_x=0.4, warmup=2)]
    settings = PlumeSettings(size=16, num_frames=4)
    together = film(parameters, settings)
    for one, recording in zip(parameters, together, strict=True):
        [alone] = film([one], settings)
        np.testing.assert_allclose(alone.image.astype(int), recording.image, atol=2)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_state_taken_in_the_middle_of_a_batch_is_continued_with_the_same_bits(dimensions):
    """By the same solver, and by another one."""
    plumes = [plume(seed=1, warmup=2), plume(seed=2, wind_x=0.4)]

    def steps(solver: PlumeSolver) -> list[torch.Tensor]:
        for _ in range(3):
            solver.step()
        return [solver.velocity, solver.scalars, *solver.faces, torch.tensor(solver.time)]

    solver, other = PlumeSolver(plumes, SCALE, dimensions), PlumeSolver(plumes, SCALE, dimensions)
    steps(solver)
    state = solver.state()
    expected = steps(solver)
    for continued in (solver, other, solver):
        continued.load_state(state)
        assert continued.time == 6.0
        assert all(torch.equal(a, b) for a, b in zip(steps(continued), expected, strict=True))


def test_the_state_of_one_plume_of_a_batch_is_continued_alone():
    plumes = [plume(seed=1), plume(seed=2, wind_x=0.4)]
    batch, alone = PlumeSolver(plumes, SCALE), PlumeSolver(plumes[1:], SCALE)
    for _ in range(4):
        batch.step()
    alone.load_state(batch.state([1]))
    assert torch.equal(alone.density[0], batch.density[1]) and alone.density.max() > 0.1
    batch.step()
    alone.step()
    torch.testing.assert_close(alone.density[0], batch.density[1], atol=1e-4, rtol=1e-4)


def test_a_state_of_another_batch_or_grid_is_refused():
    state = PlumeSolver([plume(), plume()], SCALE).state()
    with pytest.raises(
        ValueError, match=r"velocity of the state is \(2, 3, 12, 20, 18\): expected \(1, 3, 12, 20, 18\)"
    ):
        PlumeSolver([plume()], SCALE).load_state(state)


def test_laplacian_equals_numpy_second_differences():
    field = torch.randn(1, 1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    inner = field[0, 0].double().numpy()
    expected = sum(
        np.diff(np.pad(inner, [(1, 1) if a == axis else (0, 0) for a in range(3)], "edge"), 2, axis)
        for axis in range(3)
    )
    np.testing.assert_allclose(laplacian(field)[0, 0].numpy(), expected, atol=1e-5)


def test_vorticity_confinement_is_equation_11_of_fedkiw():
    """Compared with numpy gradients in float64, in the interior."""
    velocity = torch.randn(1, 3, 8, 9, 10, generator=torch.Generator().manual_seed(0))
    u, v, w = velocity[0].double().numpy()
    gradient = {name: np.gradient(c) for name, c in zip("uvw", (u, v, w), strict=True)}  # axes z, y, x
    omega = np.stack(
        [
            gradient["w"][1] - gradient["v"][0],
            gradient["u"][0] - gradient["w"][2],
            gradient["v"][2] - gradient["u"][1],
        ]
    )
    eta = np.stack(np.gradient(np.linalg.norm(omega, axis=0))[::-1])
    force = np.cross(eta / np.linalg.norm(eta, axis=0), omega, axis=0)
    inner = (slice(None), *[slice(2, -2)] * 3)
    np.testing.assert_allclose(vorticity_confinement(velocity)[0].numpy()[inner], force[inner], atol=1e-4)
