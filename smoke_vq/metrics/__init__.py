"""Metrics: each accumulates over the batches of a dataset and over processes, and computes its figures at the end."""

from collections.abc import Iterable
from typing import Any

from ..registry import choose
from .code_entropy import CodeEntropy
from .codebook import CodebookUsage, expected_usage
from .colour import ColourError
from .compressed_size import CompressedSize
from .fid import InceptionDistance
from .figure import Figure
from .figures_table import table_of
from .image_quality import ImageQuality
from .latent_fidelity import LatentFidelity
from .metric import Batch, Metric
from .perceptual_distance import PerceptualDistance
from .pixel_grid import PixelGrid
from .plume import PlumeQuality, flicker

__all__ = [
    "METRICS",
    "Batch",
    "CodeEntropy",
    "CodebookUsage",
    "ColourError",
    "CompressedSize",
    "Figure",
    "ImageQuality",
    "InceptionDistance",
    "LatentFidelity",
    "Metric",
    "PerceptualDistance",
    "PixelGrid",
    "PlumeQuality",
    "expected_usage",
    "figure_of",
    "flicker",
    "make_metrics",
    "markdown_table",
]

# The order is that of tables.
METRICS: dict[str, type[Metric]] = {
    "image": ImageQuality,
    "lpips": PerceptualDistance,
    "fid": InceptionDistance,
    "plume": PlumeQuality,
    "colour": ColourError,
    "grid": PixelGrid,
    "codebook": CodebookUsage,
    "codes": CodeEntropy,
    "latents": LatentFidelity,
    "size": CompressedSize,
}


def make_metrics(names: Iterable[str], **options: dict[str, Any]) -> list[Metric]:
    """Create the metrics of these names in `METRICS`, each one once.

    Args:
        options: keyword arguments of a metric, by its name.

    Raises:
        ValueError: an unknown name.
    """
    return [choose(METRICS, name, "metric")(**options.get(name, {})) for name in dict.fromkeys(names)]


def figure_of(name: str) -> Figure:
    """The figure of this name; one with a general format if no metric in `METRICS` has it."""
    return next((figure for figure in _known_figures() if figure.name == name), Figure(name, name))


def markdown_table(columns: dict[str, dict[str, float | None]], figures: Iterable[Figure] | None = None) -> str:
    """`table_of` with the figures of all metrics as the known ones, or with `figures`."""
    return table_of(columns, _known_figures() if figures is None else figures)


def _known_figures() -> list[Figure]:
    return [figure for metric in METRICS.values() for figure in metric.figures]
