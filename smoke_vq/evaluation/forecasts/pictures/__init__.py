"""Pictures of results: figures by horizon, rank histograms, strips of frames and maps of spread."""

from collections.abc import Sequence
from pathlib import Path

from ....checks import check_installed
from ..cases import ForecastCase
from ..results import Results
from .by_horizon import draw_by_horizon
from .ranks import draw_ranks
from .spread_map import draw_spread_map
from .strip import draw_comparison, draw_strip, file_name

__all__ = ["check_matplotlib", "write_pictures"]


def check_matplotlib() -> None:
    """Raise a ValueError if matplotlib is not installed."""
    check_installed("This picture", "forecast", matplotlib="matplotlib")


def write_pictures(folder: Path, results: Results, cases: Sequence[ForecastCase]) -> None:
    """Write all pictures as PNG; strips show the forecast in the middle of the test set."""
    case, rows = cases[len(cases) // 2], [one.row for one in results.rows.values()]
    draw_by_horizon(results, folder / "by_horizon.png")
    draw_comparison(rows, case).save(folder / "comparison.png")
    ensembles = [one.row for one in results.rows.values() if one.num_members > 1]
    for row in ensembles:
        draw_strip(row, case).save(folder / f"strip_{file_name(row.name)}.png")
    if any("rank_histogram" in one.values for one in results.rows.values()):
        draw_ranks(results, folder / "rank_histograms.png")
    if any("spread_ratio" in one.maps for one in results.rows.values()):
        draw_spread_map(results, folder / "spread_maps.png")
