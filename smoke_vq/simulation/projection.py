"""Pressure projection: the divergence-free part of a velocity field (Stam, 1999, section 2.1; Chorin, 1968).

Velocities are stored at cell centres. They are averaged to the faces between cells and projected there, and the
pressure gradients at the faces are averaged back to the cells.
"""

import torch


class PressureProjection:
    """Projection by an exact solution of the discrete Poisson equation on a box with a ground and five open sides.

    The Laplacian of a box is a sum over its axes and is diagonalised by the eigenvectors of three small matrices
    (Lynch, Rice and Thomas, *Direct solution of partial difference equations by tensor product methods*, Numer. Math.
    6, 1964). This takes six dense matrix products and no iterations on any device.

    Args:
        shape: (Z, Y, X). An axis with one cell is not projected, which gives two dimensions.
    """

    def __init__(self, shape: tuple[int, int, int], device: torch.device | str = "cpu"):
        self.shape = shape
        self.vectors, values = [], []
        for axis, size in enumerate(shape):
            laplacian = axis_laplacian(size, wall=axis == 1)
            value, vector = torch.linalg.eigh(laplacian)
            values.append(value)
            self.vectors.append(vector.float().to(device))
        z, y, x = values
        total = z[:, None, None] + y[None, :, None] + x[None, None, :]
        self.inverse = (1 / total).float().to(device)

    def solve(self, divergence: torch.Tensor) -> torch.Tensor:
        """Solve for the pressure (B, Z, Y, X) whose Laplacian is `divergence` (B, Z, Y, X)."""
        z, y, x = self.vectors
        spectrum = _along_z(y.t() @ (divergence @ x), z.t()) * self.inverse
        return _along_z(y @ (spectrum @ x.t()), z)

    def __call__(
        self, velocity: torch.Tensor, wind_x: torch.Tensor, wind_z: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Project velocities.

        Args:
            velocity: (B, 3, Z, Y, X), components x, y, z.
            wind_x, wind_z: wind outside the box, (B, 1, Y, 1). Air does not enter faster than the wind.

        Returns:
            The velocity of the cells, and the divergence-free velocities of the faces: x (B, Z, Y, X + 1),
            y (B, Z, Y + 1, X), z (B, Z + 1, Y, X).
        """
        faces = face_velocities(velocity, wind_x, wind_z)
        pressure = self.solve(divergence(faces))
        projected, cells = [], []
        for component, (face, axis) in enumerate(zip(faces, (3, 2, 1), strict=True)):
            if self.shape[axis - 1] == 1:
                projected.append(face)
                cells.append(velocity[:, component])
                continue
            gradient = _face_gradient(pressure, axis)
            projected.append(face - gradient)
            cells.append(velocity[:, component] - _mean(gradient, axis))
        return torch.stack(cells, dim=1), projected


def axis_laplacian(size: int, wall: bool) -> torch.Tensor:
    """Matrix of second differences, (size, size) float64. Pressure is 0 outside an open end and constant at a wall."""
    if size == 1:
        return torch.zeros(1, 1, dtype=torch.float64)
    laplacian = torch.diag(torch.full((size,), -2.0, dtype=torch.float64))
    laplacian += torch.diag(torch.ones(size - 1, dtype=torch.float64), 1)
    laplacian += torch.diag(torch.ones(size - 1, dtype=torch.float64), -1)
    if wall:
        laplacian[0, 0] = -1.0
    return laplacian


def face_velocities(velocity: torch.Tensor, wind_x: torch.Tensor, wind_z: torch.Tensor) -> list[torch.Tensor]:
    """Velocities of the faces: means of neighbouring cells, 0 at the ground, inflow not faster than the wind."""
    u, v, w = velocity.unbind(1)
    if u.shape[1] == 1:
        zeros = torch.zeros_like(w)
        z_faces = torch.cat([zeros, zeros], dim=1)
    else:
        z_faces = _with_ends(w, 1, wind_z)
    y_faces = torch.cat(
        [torch.zeros_like(v[:, :, :1]), (v[:, :, 1:] + v[:, :, :-1]) / 2, v[:, :, -1:].clamp(min=0)], dim=2
    )
    return [_with_ends(u, 3, wind_x), y_faces, z_faces]


def divergence(faces: list[torch.Tensor]) -> torch.Tensor:
    """Divergence of the face velocities, (B, Z, Y, X)."""
    x, y, z = faces
    return (x[..., 1:] - x[..., :-1]) + (y[:, :, 1:] - y[:, :, :-1]) + (z[:, 1:] - z[:, :-1])


def _face_gradient(pressure: torch.Tensor, axis: int) -> torch.Tensor:
    """Differences of pressure across all faces of an axis, including the outer ones."""
    size = pressure.shape[axis]
    first = pressure.narrow(axis, 0, 1)
    start = torch.zeros_like(first) if axis == 2 else first
    return torch.cat([start, pressure.diff(dim=axis), -pressure.narrow(axis, size - 1, 1)], dim=axis)


def _with_ends(component: torch.Tensor, axis: int, wind: torch.Tensor) -> torch.Tensor:
    size = component.shape[axis]
    first, last = component.narrow(axis, 0, 1), component.narrow(axis, size - 1, 1)
    first, last = torch.minimum(first, wind.clamp(min=0)), torch.maximum(last, wind.clamp(max=0))
    return torch.cat([first, _mean(component, axis), last], dim=axis)


def _mean(field: torch.Tensor, axis: int) -> torch.Tensor:
    size = field.shape[axis]
    return (field.narrow(axis, 1, size - 1) + field.narrow(axis, 0, size - 1)) / 2


def _along_z(field: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    batch, depth, height, width = field.shape
    return (matrix @ field.reshape(batch, depth, height * width)).view(field.shape)
