import torch

from smoke_vq.simulation.projection import PressureProjection, axis_laplacian, divergence, face_velocities


def test_solves_the_poisson_equation_of_the_whole_box():
    """Compared with a dense float64 solution, with the Laplacian built by Kronecker products."""
    shape = (4, 6, 5)
    z, y, x = (axis_laplacian(n, wall=axis == 1) for axis, n in enumerate(shape))
    eye = [torch.eye(n, dtype=torch.float64) for n in shape]
    whole = torch.kron(torch.kron(z, eye[1]), eye[2]) + torch.kron(torch.kron(eye[0], y), eye[2])
    whole += torch.kron(torch.kron(eye[0], eye[1]), x)
    right = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    expected = torch.linalg.solve(whole, right.double().flatten(1).t()).t().view(2, *shape)
    torch.testing.assert_close(PressureProjection(shape).solve(right).double(), expected, atol=1e-5, rtol=1e-4)


def test_faces_are_divergence_free_and_the_ground_is_a_wall():
    velocity = torch.randn(2, 3, 6, 10, 8, generator=torch.Generator().manual_seed(0))
    calm = torch.zeros(2, 1, 10, 1)
    before = divergence(face_velocities(velocity, calm, calm)).abs().max()
    cells, faces = PressureProjection((6, 10, 8))(velocity, calm, calm)
    assert divergence(faces).abs().max() < 1e-5 * before
    assert (faces[1][:, :, 0] == 0).all()
    assert cells.shape == velocity.shape


def test_a_uniform_wind_is_unchanged():
    wind = torch.full((1, 1, 10, 1), 0.3)
    velocity = torch.zeros(1, 3, 6, 10, 8)
    velocity[:, 0] = 0.3
    cells, faces = PressureProjection((6, 10, 8))(velocity, wind, torch.zeros_like(wind))
    torch.testing.assert_close(cells, velocity, atol=1e-6, rtol=0)
    torch.testing.assert_close(faces[0], torch.full_like(faces[0], 0.3), atol=1e-6, rtol=0)


def test_two_dimensions_are_one_slice():
    velocity = torch.randn(1, 3, 1, 10, 8, generator=torch.Generator().manual_seed(0))
    calm = torch.zeros(1, 1, 10, 1)
    _, faces = PressureProjection((1, 10, 8))(velocity, calm, calm)
    assert divergence(faces).abs().max() < 1e-5
    assert (faces[2] == 0).all()


def test_air_does_not_enter_faster_than_the_wind():
    velocity = torch.zeros(1, 3, 4, 6, 5)
    velocity[:, 0, ..., 0] = 5.0
    velocity[:, 0, ..., -1] = -5.0
    velocity[:, 1, :, -1] = -5.0
    wind = torch.full((1, 1, 6, 1), 0.3)
    x, y, _ = face_velocities(velocity, wind, wind)
    assert (x[..., 0] == torch.tensor(0.3)).all()
    assert (x[..., -1] == 0).all()
    assert (y[:, :, -1] == 0).all()
