"""Recordings of plumes: simulation and rendering, frame by frame."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from .parameters import PlumeParameters, draw_parameters
from .renderer import from_srgb, render, to_srgb
from .solver import PlumeSolver

# Increase it when the same seed and settings give other frames.
SIMULATION_VERSION = "1.0.0"
_REFERENCE_SIZE = 64
_SLICE_THICKNESS = 10.0


@dataclass(frozen=True)
class PlumeSettings:
    """Settings that all plumes of a dataset share.

    size: height and width of the frames in pixels, a multiple of 8 from 8 to 512. One pixel is one grid cell.
    num_frames: frames per simulation, at least 1.
    dimensions: 3, or 2 for quick tests (which looks more like ink than smoke).
    background: a colour name, '#rrggbb', or the path of an image.

    Raises:
        ValueError: a value is out of range, or the background cannot be read.
    """

    size: int = 64
    num_frames: int = 64
    dimensions: int = 3
    background: str = "black"

    def __post_init__(self):
        if not 8 <= self.size <= 512 or self.size % 8:
            raise ValueError(f"size is {self.size}: expected a multiple of 8 from 8 to 512 pixels.")
        if self.num_frames < 1:
            raise ValueError(f"num_frames is {self.num_frames}: expected at least 1.")
        if self.dimensions not in (2, 3):
            raise ValueError(f"dimensions is {self.dimensions}: expected 2 or 3.")
        background_image(self.background, self.size)


@dataclass
class Recording:
    """Frames of one simulation.

    seed: seed of the plume.
    image: smoke over the background, (T, size, size, 3) uint8, sRGB.
    alpha: opacity of the smoke, (T, size, size) uint8, 0 (clear) to 255 (opaque).
    params: fields of `PlumeParameters` by name.
    """

    seed: int
    image: np.ndarray
    alpha: np.ndarray
    params: dict[str, float | int]


def simulate_plumes(
    seeds: Sequence[int], settings: PlumeSettings, device: torch.device | str = "cpu"
) -> list[Recording]:
    """Simulate and render one plume per seed.

    On the same machine, the same seed gives the same bits. On a CPU, plumes are simulated one by one on one thread, so
    that a recording does not depend on the other seeds. On a GPU they form one batch, so that the last bits depend on
    the list of seeds. The physics is described in `solver`, the image formation in `renderer`.

    Args:
        seeds: seeds from 0 to 2**32 - 2, from which `draw_parameters` draws the plumes.
        settings: size, length, dimensions and background of the recordings.
        device: "cpu" or "cuda".

    Returns:
        One recording of `settings.num_frames` frames per seed.

    Raises:
        torch.OutOfMemoryError: the batch does not fit on the GPU.
    """
    if torch.device(device).type == "cpu":
        with one_thread():
            return [recording for seed in seeds for recording in film([draw_parameters(seed)], settings, device)]
    return film([draw_parameters(seed) for seed in seeds], settings, device)


@torch.no_grad()
def film(
    plumes: Sequence[PlumeParameters], settings: PlumeSettings, device: torch.device | str = "cpu"
) -> list[Recording]:
    """Simulate and render the given plumes as one batch; see `simulate_plumes`."""
    num_steps = max(plume.warmup for plume in plumes) + settings.num_frames
    images = np.zeros((len(plumes), settings.num_frames, settings.size, settings.size, 3), dtype=np.uint8)
    alphas = np.zeros((len(plumes), settings.num_frames, settings.size, settings.size), dtype=np.uint8)
    background = background_image(settings.background, settings.size).to(device)
    solver = new_solver(plumes, settings, device)
    for step in range(1, num_steps + 1):
        solver.step()
        recorded = [i for i, plume in enumerate(plumes) if 0 < step - plume.warmup <= settings.num_frames]
        if recorded:
            image, alpha = view(solver, [plumes[i] for i in recorded], recorded, settings, background)
            for place, i in enumerate(recorded):
                images[i, step - plumes[i].warmup - 1] = image[place]
                alphas[i, step - plumes[i].warmup - 1] = alpha[place]
    return [Recording(p.seed, images[i], alphas[i], p.to_dict()) for i, p in enumerate(plumes)]


def new_solver(
    plumes: Sequence[PlumeParameters], settings: PlumeSettings, device: torch.device | str = "cpu"
) -> PlumeSolver:
    """A solver with one cell per pixel."""
    return PlumeSolver(plumes, settings.size / _REFERENCE_SIZE, settings.dimensions, device=device)


def view(
    solver: PlumeSolver, plumes: Sequence[PlumeParameters], rows: Sequence[int], settings: PlumeSettings, background
) -> tuple[np.ndarray, np.ndarray]:
    """The centre of the domain as the camera sees it: (B, size, size, 3) and (B, size, size) uint8."""
    thickness = 1.0 if settings.dimensions == 3 else _SLICE_THICKNESS * solver.scale
    radiance, alpha = render(solver.density[list(rows)], plumes, solver.scale, thickness)
    top, left = (radiance.shape[2] - settings.size) // 2, (radiance.shape[3] - settings.size) // 2
    window = (..., slice(top, top + settings.size), slice(left, left + settings.size))
    radiance, alpha = radiance[window], alpha[window]
    image = to_srgb(radiance + (1 - alpha) * background)
    image = torch.where((alpha * 255).round() == 0, to_srgb(background), image)  # no colour where alpha rounds to 0
    return _to_uint8(image.permute(0, 2, 3, 1)), _to_uint8(alpha[:, 0])


def _to_uint8(values: torch.Tensor) -> np.ndarray:
    return (values * 255).round().to(torch.uint8).cpu().numpy()


def background_image(background: str, size: int) -> torch.Tensor:
    """The background in linear light, (3, size, size).

    Raises:
        ValueError: it is neither a colour nor an image.
    """
    from PIL import Image, ImageColor, UnidentifiedImageError

    if os.path.isfile(background):
        try:
            image = Image.open(background).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
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
    """Use one thread, because the last bit of sums depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
