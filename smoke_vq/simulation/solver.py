"""Solver for smoke in air: velocity, density and temperature on one grid.

Operator splitting into advection, forces and projection follows Stam, *Stable Fluids* (SIGGRAPH 1999); buoyancy (eq. 8)
and vorticity confinement (eq. 9-11) follow Fedkiw, Stam and Jensen, *Visual Simulation of Smoke* (SIGGRAPH 2001).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from .advection import maccormack
from .parameters import PlumeParameters, parameter_column
from .projection import PressureProjection
from .source import NoisySource

REFERENCE_WIDTH = 72
REFERENCE_HEIGHT = 80
REFERENCE_DEPTH = 48


def grid_shape(scale: float, dimensions: int = 3) -> tuple[int, int, int]:
    """Shape (Z, Y, X) of the grid with `scale` cells per reference cell."""
    height, width = round(REFERENCE_HEIGHT * scale), round(REFERENCE_WIDTH * scale)
    return (round(REFERENCE_DEPTH * scale) if dimensions == 3 else 1, height, width)


@dataclass(frozen=True)
class SolverState:
    """What a batch of plumes is at one moment; the attributes are those of `PlumeSolver`."""

    velocity: torch.Tensor
    scalars: torch.Tensor
    faces: tuple[torch.Tensor, ...]
    time: float


class PlumeSolver:
    """A batch of plumes. Z points away from the camera, Y upwards from the ground, and X to the right.

    Args:
        plumes: parameters, one per entry of the batch.
        scale: grid cells per reference cell; the domain has 48 x 80 x 72 reference cells (Z, Y, X).
        dimensions: 3, or 2 for one slice.
        dt: units of time per step.

    Attributes:
        velocity: (B, 3, Z, Y, X), components x, y, z in grid cells per unit of time.
        scalars: (B, 2, Z, Y, X), density and temperature (relative to the air).
        faces: divergence-free velocities of the faces, as returned by `PressureProjection`.
        time: units of time since the start.
    """

    def __init__(
        self,
        plumes: Sequence[PlumeParameters],
        scale: float = 1.0,
        dimensions: int = 3,
        dt: float = 2.0,
        device: torch.device | str = "cpu",
    ):
        self.scale, self.dt, self.time, self.device = scale, dt, 0.0, device
        self.shape = depth, height, _ = grid_shape(scale, dimensions)
        self.source = NoisySource(plumes, self.shape, scale, REFERENCE_WIDTH, device)
        self.project = PressureProjection(self.shape, device)

        column = partial(parameter_column, plumes, device=device)
        self.buoyancy = column("buoyancy") * scale
        self.confinement = column("confinement")
        self.viscosity = column("viscosity")[:, None]
        self.keep = torch.exp(-dt * torch.stack([column("dissipation"), column("cooling")], dim=1))
        profile = ((torch.arange(height, device=device) + 0.5) / height).view(1, 1, -1, 1) ** 0.3
        self.wind_x = column("wind_x") * scale * profile
        self.wind_z = column("wind_z") * scale * profile * (depth > 1)
        batch = len(plumes)
        calm = torch.zeros(batch, 1, height, 1, device=device)
        wind = torch.stack([self.wind_x, calm, self.wind_z], dim=1)
        self.ambient = torch.cat([wind, torch.zeros(batch, 2, 1, height, 1, device=device)], dim=1)
        self.velocity = wind.expand(batch, 3, *self.shape).contiguous()
        self.scalars = torch.zeros(batch, 2, *self.shape, device=device)
        self.velocity, self.faces = self.project(self.velocity, self.wind_x, self.wind_z)

    @property
    def density(self) -> torch.Tensor:
        """Density, (B, Z, Y, X)."""
        return self.scalars[:, 0]

    def state(self, rows: Sequence[int] | None = None) -> SolverState:
        """A copy of the state between two steps, from which `load_state` continues.

        The source is not part of it, because its noise is a function of the parameters and the time.

        Args:
            rows: the plumes of the batch whose state is returned (default: all).
        """
        rows = list(range(len(self.velocity)) if rows is None else rows)
        return SolverState(self.velocity[rows], self.scalars[rows], tuple(face[rows] for face in self.faces), self.time)

    def load_state(self, state: SolverState) -> None:
        """Continue from a state of this solver, or of another one with as many plumes on the same grid.

        Raises:
            ValueError: the state has another number of plumes or another grid.
        """
        if state.velocity.shape != self.velocity.shape:
            raise ValueError(
                f"The velocity of the state is {tuple(state.velocity.shape)}: expected {tuple(self.velocity.shape)}."
            )
        self.velocity, self.scalars, *faces = (
            field.to(self.device, copy=True) for field in (state.velocity, state.scalars, *state.faces)
        )
        self.faces, self.time = faces, state.time

    def step(self) -> None:
        """Advance by `dt`: advect, add smoke and forces, project."""
        self.advect()
        self.add_smoke()
        self.add_forces()
        self.velocity, self.faces = self.project(self.velocity, self.wind_x, self.wind_z)
        self.time += self.dt

    def advect(self) -> None:
        """Advect velocity, density and temperature."""
        x, y, z = self.faces
        carrier = torch.stack(
            [(x[..., 1:] + x[..., :-1]) / 2, (y[:, :, 1:] + y[:, :, :-1]) / 2, (z[:, 1:] + z[:, :-1]) / 2], dim=1
        )
        fields = torch.cat([self.velocity, self.scalars], dim=1)
        fields = maccormack(fields, self.pad(carrier), self.dt, self.pad)
        self.velocity, self.scalars = fields[:, :3], fields[:, 3:]

    def pad(self, fields: torch.Tensor) -> torch.Tensor:
        """Pad (B, C, Z, Y, X) by one layer: wind without smoke at the open sides, copies of the cells at the ground."""
        batch, channels = fields.shape[:2]
        ambient = self.ambient[:, :channels]
        depth, height, width = self.shape
        slices = ambient.expand(batch, channels, 1, height, width)
        fields = torch.cat([slices, fields, slices] if depth > 1 else [fields] * 3, dim=2)
        columns = (
            ambient.expand(batch, channels, depth + 2, height, 1) if depth > 1 else ambient.expand(-1, -1, 3, -1, 1)
        )
        fields = torch.cat([columns, fields, columns], dim=4)
        above = ambient[..., -1:, :].expand(batch, channels, fields.shape[2], 1, width + 2)
        return torch.cat([fields[..., :1, :], fields, above], dim=3)

    def add_smoke(self) -> None:
        """Add the inflow, diffuse, and let density and temperature decay."""
        scalars = (self.scalars + self.dt * self.viscosity * laplacian(self.scalars)) * self.keep
        scalars[:, :, :, : self.source.height] += self.dt * self.source(self.time)[:, None]
        self.scalars = scalars

    def add_forces(self) -> None:
        """Add viscosity, vorticity confinement and buoyancy."""
        velocity = self.velocity + self.dt * self.viscosity * laplacian(self.velocity)
        velocity += self.dt * self.confinement[:, None] * vorticity_confinement(self.velocity)
        velocity[:, 1] += self.dt * self.buoyancy * self.scalars[:, 1]
        self.velocity = velocity


def laplacian(fields: torch.Tensor) -> torch.Tensor:
    """Laplacian of (B, C, Z, Y, X) with spacing 1 and no gradient across the border."""
    total = torch.zeros_like(fields)
    for axis in (2, 3, 4):
        size = fields.shape[axis]
        if size > 1:
            difference = fields.diff(dim=axis)
            total.narrow(axis, 0, size - 1).add_(difference)
            total.narrow(axis, 1, size - 1).sub_(difference)
    return total


def _central_difference(field: torch.Tensor, axis: int) -> torch.Tensor:
    """(f[i + 1] - f[i - 1]) / 2 along an axis, with replicated border."""
    size = field.shape[axis]
    if size == 1:
        return torch.zeros_like(field)
    padded = torch.cat([field.narrow(axis, 0, 1), field, field.narrow(axis, size - 1, 1)], dim=axis)
    return (padded.narrow(axis, 2, size) - padded.narrow(axis, 0, size)) / 2


def vorticity_confinement(velocity: torch.Tensor) -> torch.Tensor:
    """Force N x omega, N = grad|omega| / |grad|omega||, (B, 3, Z, Y, X) (Fedkiw et al., eq. 11, h = epsilon = 1)."""
    u, v, w = velocity.unbind(1)
    x, y, z = 3, 2, 1
    omega = (
        _central_difference(w, y) - _central_difference(v, z),
        _central_difference(u, z) - _central_difference(w, x),
        _central_difference(v, x) - _central_difference(u, y),
    )
    size = (omega[0] ** 2 + omega[1] ** 2 + omega[2] ** 2).sqrt()
    normal = [_central_difference(size, axis) for axis in (x, y, z)]
    length = (normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2).sqrt().add_(1e-6)
    nx, ny, nz = (part / length for part in normal)
    return torch.stack(
        [ny * omega[2] - nz * omega[1], nz * omega[0] - nx * omega[2], nx * omega[1] - ny * omega[0]], dim=1
    )
