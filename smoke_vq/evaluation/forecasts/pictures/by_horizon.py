"""Figures against the frame ahead, with intervals, between the limits."""

from itertools import cycle, product
from pathlib import Path

import numpy as np

from ..bootstrap import LEVEL
from ..references import PERFECT
from ..results import Results
from ..scores import forecast_figure

_FIGURES = ("psnr_mean", "crps_skill", "spread_skill", "iou", "mass_error", "lpips")
_COLUMNS = 3
# Okabe and Ito, 2008: eight colours that colour-blind readers can tell apart, without black and yellow.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_LINES = ("-", "-.", (0, (1, 1)), (0, (7, 1, 1, 1, 1, 1)))  # solid, and dashes and dots unlike those of the limits
_LIMITS = {True: dict(color="black", linestyle="--"), False: dict(color="0.5", linestyle="--")}


def draw_by_horizon(results: Results, path: Path) -> None:
    """One panel for each figure: a line with its interval for each row, and dashed lines for the limits."""
    from matplotlib.figure import Figure

    figures = {row: results.figures(row) for row in results.rows}
    names = [name for name in _FIGURES if any(name in one for one in figures.values())]
    lines = -(-len(names) // _COLUMNS)
    picture = Figure(figsize=(10, 3.1 * lines + 0.9), layout="constrained")
    panels = np.atleast_1d(picture.subplots(lines, min(_COLUMNS, len(names)), sharex=True)).flatten()
    styles = row_styles(results)
    for panel, name in zip(panels, names, strict=False):
        figure = forecast_figure(name)
        for row, style in styles.items():
            estimate = figures[row].get(name)
            if estimate is None:
                continue
            ahead = np.arange(1, len(estimate.by_frame) + 1)
            panel.plot(ahead, estimate.by_frame, label=row, linewidth=1.5, **style)
            low, high = estimate.interval_by_frame
            panel.fill_between(ahead, low, high, color=style["color"], alpha=0.15, linewidth=0)
        if isinstance(figure.better, float):
            panel.axhline(figure.better, color="black", linewidth=0.6)
        if name == "crps_skill":
            panel.set_ylim(bottom=max(-0.5, panel.get_ylim()[0]))
        panel.set_title(f"{figure.label}, {figure.unit}" if figure.unit else figure.label, fontsize=10)
        panel.grid(alpha=0.25, linewidth=0.5)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in panels[max(0, len(names) - _COLUMNS) : len(names)]:
        panel.set_xlabel("frame ahead")
        panel.tick_params(labelbottom=True)  # also above a panel that is hidden
    handles = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    ordered = [row for row in styles if row in handles]
    picture.legend(
        [handles[row] for row in ordered], ordered, loc="outside lower center", ncols=3, fontsize=9, frameon=False
    )
    picture.suptitle(
        f"{results.num_forecasts} forecasts of {results.num_groups} plumes or clips; {100 * LEVEL:.0f} % intervals",
        fontsize=9,
    )
    picture.savefig(path, dpi=150)


def row_styles(results: Results) -> dict[str, dict]:
    """Colour and line of each row: black or grey for limits, one of 24 combinations for others."""
    styles, others = {}, cycle(product(_LINES, _COLOURS))
    for name, one in results.rows.items():
        if one.row.kind == "limit" and one.num_members == 1:
            styles[name] = dict(color="0.5", linestyle=":")
        elif one.row.kind == "limit":
            styles[name] = _LIMITS[name == PERFECT]
        else:
            line, colour = next(others)
            styles[name] = dict(color=colour, linestyle=line)
    return styles
