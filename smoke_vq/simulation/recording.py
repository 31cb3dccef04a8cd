"""From seeds to frames."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from .parameters import PlumeParameters, draw_parameters
from .renderer import from_srgb, render, to_srgb
from .solver import PlumeSolver

# Raise it when the same seed and settings give other frames.
SIMULATION_VERSION = "1.0.0"
REFERENCE_SIZE = 64
SLICE_THICKNESS = 10.0


@dataclass(frozen=True)
class PlumeSettings:
    """What all plumes of a dataset share.

    size: height and width of the frames in pixels, one pixel a cell of the grid.
    num_frames: frames a simulation.
    dimensions: 3, or 2 for quick tests (which looks like ink, not like smoke).
    background: a colour name, '#rrggbb', or the path of an image.
    """

    size: int = 64
    num_frames: int = 64
    dimensions: int = 3
    background: str = "black"

    def __post_init__(self):
        if not 8 <= self.size <= 512 or self.size % 8:
            raise ValueError(f"size is {self.size}: expected a multiple of 8 from 8 to 512 pixels.")
        if self.num_frames < 1:
            raise ValueError(f"num_frames is {self.num_frames}: expected 1 frame a simulation or more.")
        if self.dimensions not in (2, 3):
            raise ValueError(f"dimensions is {self.dimensions}: expected 2 or 3.")
        background_image(self.background, self.size)


@dataclass
class Recording:
    """Frames of one simulation.

    image: (T, size, size, 3) uint8; alpha: (T, size, size) uint8, opacity; params: what `draw_parameters` drew.
    """

    seed: int
    image: np.ndarray
    alpha: np.ndarray
    params: dict[str, float | int]


def simulate_plumes(
    seeds: Sequence[int], settings: PlumeSettings, device: torch.device | str = "cpu"
) -> list[Recording]:
    """Simulate and film the plumes of `seeds`.

    The same seed gives the same bits on the same machine: on a CPU one plume at a time and on one thread, so whatever
    the number of processes; on a GPU together, so for the same list of seeds.
    """
    if torch.device(device).type == "cpu":
        with one_thread():
            return [recording for seed in seeds for recording in film([draw_parameters(seed)], settings, device)]
    return film([draw_parameters(seed) for seed in seeds], settings, device)


@torch.no_grad()
def film(
    plumes: Sequence[PlumeParameters], settings: PlumeSettings, device: torch.device | str = "cpu"
) -> list[Recording]:
    """Simulate given plumes side by side."""
    num_steps = max(plume.warmup for plume in plumes) + settings.num_frames
    images = np.zeros((len(plumes), settings.num_frames, settings.size, settings.size, 3), dtype=np.uint8)
    alphas = np.zeros((len(plumes), settings.num_frames, settings.size, settings.size), dtype=np.uint8)
    background = background_image(settings.background, settings.size).to(device)
    for step, solver in zip(range(1, num_steps + 1), evolve(plumes, settings, device), strict=False):
        recorded = [i for i, plume in enumerate(plumes) if 0 < step - plume.warmup <= settings.num_frames]
        if recorded:
            image, alpha = picture(solver, [plumes[i] for i in recorded], recorded, settings, background)
            for place, i in enumerate(recorded):
                images[i, step - plumes[i].warmup - 1] = image[place]
                alphas[i, step - plumes[i].warmup - 1] = alpha[place]
    return [Recording(p.seed, images[i], alphas[i], p.to_dict()) for i, p in enumerate(plumes)]


def evolve(
    plumes: Sequence[PlumeParameters], settings: PlumeSettings, device: torch.device | str = "cpu"
) -> Iterator[PlumeSolver]:
    """The solver after each step, without end."""
    solver = PlumeSolver(plumes, settings.size / REFERENCE_SIZE, settings.dimensions, device=device)
    while True:
        solver.step()
        yield solver


def picture(
    solver: PlumeSolver, plumes: Sequence[PlumeParameters], rows: Sequence[int], settings: PlumeSettings, background
) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the domain as the camera sees it: (B, size, size, 3) and (B, size, size) uint8."""
    thickness = 1.0 if settings.dimensions == 3 else SLICE_THICKNESS * solver.scale
    radiance, alpha = render(solver.density[list(rows)], plumes, solver.scale, thickness)
    top, left = (radiance.shape[2] - settings.size) // 2, (radiance.shape[3] - settings.size) // 2
    window = (..., slice(top, top + settings.size), slice(left, left + settings.size))
    radiance, alpha = radiance[window], alpha[window]
    image = to_srgb(radiance + (1 - alpha) * background)
    image = torch.where((alpha * 255).round() == 0, to_srgb(background), image)  # no colour where there is no alpha
    return to_uint8(image.permute(0, 2, 3, 1)), to_uint8(alpha[:, 0])


def to_uint8(values: torch.Tensor) -> np.ndarray:
    return (values * 255).round().to(torch.uint8).cpu().numpy()


def background_image(background: str, size: int) -> torch.Tensor:
    """(3, size, size), linear light.

    Raises:
        ValueError: neither a colour nor a picture.
    """
    from PIL import Image, ImageColor, UnidentifiedImageError

    if os.path.isfile(background):
        try:
            image = Image.open(background).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"background '{background}' is not an image: {error}.") from error
        values = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    else:
        try:
            values = torch.tensor(ImageColor.getrgb(background)[:3]).view(3, 1, 1).expand(3, size, size) / 255
        except ValueError:
            raise ValueError(
                f"background is '{background}': expected a colour name, '#rrggbb', or the path of an image."
            ) from None
    return from_srgb(values)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums of several threads depend on their number in the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
