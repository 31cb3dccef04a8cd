"""Whether reconstructions show the grid of the network: patterns that repeat every 2, 4 or 8 pixels."""

from collections.abc import Callable, Iterable

import torch

from ..float64 import to_float64
from ..pixels import DATA_RANGE, clamp, to_pixel_values
from .figure import Figure
from .metric import Batch, Metric

PERIODS = (2, 4, 8)  # pixels: an upsampling layer, two, and the patch of one code
_COARSEST = max(PERIODS)


class PixelGrid(Metric):
    """Power of the error at the frequencies of the pixel grid relative to that of their neighbours.

    The power is that of `error_power`, averaged over frames. A frequency of the grid of 8 pixels is a pair of multiples
    of 1/8 wave per pixel except (0, 0). The figure `grid_8` has those that are not of the grid of 4 pixels, `grid_4`
    those that are not of the grid of 2. For each frequency, the power is divided by the geometric mean of its
    neighbours, which are two or three waves per frame away in either direction, and the figure is the mean of these
    ratios. About 1 without a grid.

    No figures for frames whose sides are not multiples of 8 of at least 32: they have no neighbours between the
    frequencies of the grid.
    """

    figures = tuple(
        Figure(f"grid_{period}", f"grid of {period} pixels", "lower", ".2f", meaning=f"error power at a period {what}")
        for period, what in ((2, "of 2 pixels over its neighbours'"), (4, "of 4, likewise"), (8, "of 8, likewise"))
    )

    def update(self, batch: Batch) -> None:
        if _has_neighbours(batch.target.shape[2:]):
            self.add("power", error_power(clamp(batch.sample.float()) - batch.target.float()).sum(dim=0))

    def compute(self) -> dict[str, float]:
        if not self.sums:
            return {}
        power = self.sums["power"].cpu()
        neighbours = torch.stack([power.roll(shift, (0, 1)) for shift in _offsets(power.shape)])
        ratio = power / neighbours.clamp(min=torch.finfo(torch.float64).tiny).log().mean(dim=0).exp()
        period = grid_periods(*power.shape)
        return {f"grid_{p}": float(ratio[period == p].mean()) for p in PERIODS} if power.sum() > 0 else {}


def error_power(error: torch.Tensor) -> torch.Tensor:
    """Power of each frequency, with a Hann window, averaged over channels: (B, C, H, W) to (B, H, W) in float64."""
    return _windowed_spectrum(error).abs().square().mean(dim=1)


def grid_periods(height: int, width: int) -> torch.Tensor:
    """(H, W): the smallest of the PERIODS whose grid has this frequency of a discrete Fourier transform, or 0."""
    found = torch.zeros(height, width, dtype=torch.int64)
    for period in sorted(PERIODS, reverse=True):
        rows, columns = (torch.arange(size) * period % size == 0 for size in (height, width))
        found[rows[:, None] & columns] = period
    found[0, 0] = 0
    return found


@torch.no_grad()
def constant_frame_waves(
    reconstruct: Callable[[torch.Tensor], torch.Tensor], colours: Iterable[tuple[int, int, int]], size: int = 64
) -> dict[int, float]:
    """The strongest waves of the pixel grid in reconstructions of frames of one colour, by period.

    A frame of one colour has no waves, and the windowed transform none of slow changes towards the borders. Rounding to
    8 bits hides a wave whose amplitude is below half a level.

    Args:
        reconstruct: (B, 3, H, W) in [-1, 1] to its reconstruction.
        colours: of the frames, from 0 to 255.
        size: H and W, a multiple of 8.

    Returns:
        The largest amplitude in levels of 1/255 over frames, channels and frequencies, for each of the PERIODS.
    """
    frames = to_pixel_values(torch.tensor(list(colours), dtype=torch.uint8)[:, None, None].expand(-1, size, size, -1))
    window = torch.hann_window(size, dtype=torch.float64)
    spectrum = _windowed_spectrum(clamp(reconstruct(frames).float().cpu()))
    # A real wave is a pair of opposite frequencies, except for a wave of two pixels, which is its own opposite.
    own = grid_periods(size, size) == 2
    levels = spectrum.abs() * (255 / DATA_RANGE) / window.sum() ** 2 * torch.where(own, 1, 2)
    return {period: float(levels[:, :, grid_periods(size, size) == period].max()) for period in PERIODS}


def _windowed_spectrum(images: torch.Tensor) -> torch.Tensor:
    images = to_float64(images)
    height, width = (torch.hann_window(size, dtype=torch.float64, device=images.device) for size in images.shape[2:])
    return torch.fft.fft2(images * height[:, None] * width)


def _has_neighbours(shape: torch.Size) -> bool:
    return all(size % _COARSEST == 0 and size >= 4 * _COARSEST for size in shape)


def _offsets(shape: torch.Size) -> list[tuple[int, int]]:
    """From a frequency of the grid to its neighbours; its window spreads it over one wave in either direction."""
    reach = [min(3, size // _COARSEST // 2) for size in shape]
    rows, columns = (range(-far, far + 1) for far in reach)
    return [(row, column) for row in rows for column in columns if max(abs(row), abs(column)) > 1]
