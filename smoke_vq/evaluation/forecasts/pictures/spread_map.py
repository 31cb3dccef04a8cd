"""Where in the frame the forecasts spread too little or too much."""

from pathlib import Path

import torch
import torch.nn.functional as F

from ....preparation.futures.divergence import horizons
from ..results import Results

_BLOCK = 4  # pixels: ratios of single pixels are noise
_SMALLEST = 2 / 255  # true spread, in units of [-1, 1], below which a ratio says nothing
_OCTAVES = 2  # the colours end at a quarter and at four times the true spread


def draw_spread_map(results: Results, path: Path) -> None:
    """The true spread, the root of the variance averaged over all forecasts, and below it the ratio for each ensemble.

    Spread and ratio are of blocks of 4x4 pixels; blocks in which the futures hardly differ are left grey.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    maps = {name: one.maps["spread_ratio"] for name, one in results.rows.items() if "spread_ratio" in one.maps}
    true_spread = _blocks(next(iter(maps.values()))["true_variance_map"])
    columns = [ahead - 1 for ahead in horizons(len(true_spread))]
    picture = Figure(figsize=(1.5 * len(columns) + 2.2, 1.6 * (len(maps) + 1) + 0.3), layout="constrained")
    panels = picture.subplots(len(maps) + 1, len(columns), squeeze=False)
    scale = LogNorm(2.0**-_OCTAVES, 2.0**_OCTAVES)
    for panel, column in zip(panels[0], columns, strict=True):
        shown = panel.imshow(true_spread[column], cmap="gray", vmin=0, vmax=float(true_spread[columns].max()))
        panel.set_title(f"{column + 1} ahead", fontsize=9)
    picture.colorbar(shown, ax=list(panels[0]), label="true spread")
    panels[0, 0].set_ylabel("true futures", fontsize=8)
    for line, (name, one) in zip(panels[1:], maps.items(), strict=True):
        others = _blocks(one["true_variance_map"])
        ratio = torch.where(others > _SMALLEST, _blocks(one["variance_map"]) / others, torch.nan)
        for panel, column in zip(line, columns, strict=True):
            panel.set_facecolor("0.6")
            shown = panel.imshow(ratio[column].clamp(scale.vmin, scale.vmax), cmap="RdBu_r", norm=scale)
        bar = picture.colorbar(shown, ax=list(line), label="ratio", ticks=[0.25, 0.5, 1, 2, 4])
        bar.ax.set_yticklabels(["1/4", "1/2", "1", "2", "4"])
        bar.ax.minorticks_off()
        line[0].set_ylabel(name.replace(", ", ",\n"), fontsize=8)
    for panel in panels.flatten():
        panel.set_xticks([])
        panel.set_yticks([])
    picture.savefig(path, dpi=150)


def _blocks(variance: torch.Tensor) -> torch.Tensor:
    """(T, H, W) variances to the spread of blocks, (T, H / 4, W / 4)."""
    return F.avg_pool2d(variance[:, None], _BLOCK)[:, 0].sqrt()
