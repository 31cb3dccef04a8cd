"""Rate and distortion of codes, image codecs and thumbnails."""

from pathlib import Path
from typing import Any

from smoke_vq.metrics import figure_of

# Okabe and Ito, 2008: colours that colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = "osD^v<>p*hX"  # 11 and 6 have no common factor: 66 variants look different
_TICKS = (250, 500, 1000, 2000, 4000, 8000)  # bits
_LINES = {"color": "0.45", "linewidth": 1.2}
_STYLES = ("-", "--", ":", "-.", (0, (1, 3)))


def draw_rate_distortion(variants: dict[str, Any], codecs: dict[str, Any], path: Path) -> None:
    """Masked MSE and LPIPS against bits a frame: a line for each codec, two points for each variant.

    The filled point has the bits of codes of equal length, the empty one those of an ideal entropy coder. Bars are
    standard deviations over seeds.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    picture = Figure(figsize=(11, 5.2), layout="constrained")
    for panel, name in zip(picture.subplots(1, 2), ("masked_mse", "lpips_alex"), strict=True):
        for style, (codec, settings) in zip(_STYLES, codecs.items(), strict=False):
            points = sorted((one["bits"], one[name]) for one in settings.values())
            panel.plot(*zip(*points, strict=True), label=codec, linestyle=style, marker=".", **_LINES)
        for place, (variant, one) in enumerate(variants.items()):
            colour, marker = _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
            figures = one["over_seeds"]
            for bits, face in (("entropy_bits", "white"), ("bits", colour)):
                panel.errorbar(
                    figures[bits]["mean"],
                    figures[name]["mean"],
                    yerr=figures[name]["std"],
                    label=variant if bits == "bits" else None,
                    **dict(marker=marker, color=colour, markerfacecolor=face, linestyle="none", markersize=6),
                )
        panel.set(xscale="log", yscale="log", xlabel="bits a frame, without file headers")
        panel.set_xticks(_TICKS, [f"{bits:,}" for bits in _TICKS])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_title(figure_of(name).label, fontsize=10)
        panel.grid(alpha=0.25, linewidth=0.5, which="both")
    handles = dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    picture.legend(handles.values(), handles, loc="outside right center", fontsize=9, frameon=False)
    picture.savefig(path, dpi=150)
