"""Rank histograms."""

from pathlib import Path

import numpy as np

from ..results import Results


def draw_ranks(results: Results, path: Path) -> None:
    """One panel for each ensemble: how often the truth had each rank, relative to a uniform histogram."""
    from matplotlib.figure import Figure

    measured = {name: one for name, one in results.rows.items() if "rank_histogram" in one.values}
    picture = Figure(figsize=(3.2 * len(measured), 2.8), layout="constrained")
    panels = np.atleast_1d(picture.subplots(1, len(measured), sharey=True))
    for panel, (name, one) in zip(panels, measured.items(), strict=True):
        counts = one.values["rank_histogram"]["counts"].sum(dim=(0, 1))
        panel.bar(range(len(counts)), counts / counts.mean(), width=0.9, color="#0072B2")
        panel.axhline(1, color="black", linewidth=0.8, linestyle="--")
        panel.set_title(name, fontsize=9)
        panel.set_xlabel("members below the truth")
    panels[0].set_ylabel("frequency, relative to uniform")
    picture.savefig(path, dpi=150)
