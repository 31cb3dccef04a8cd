"""Figures of forecasts for a card: the metrics.json of smoke-vq evaluate-forecast as a short table."""

from dataclasses import dataclass
from typing import Any

from ..metrics import Figure
from .markdown import as_plain

_SHOWN = ("psnr_mean", "psnr", "lpips", "iou", "mass_error", "crps", "spread_skill", "energy_distance")


@dataclass(frozen=True)
class ForecastFigures:
    """Means over all predicted frames.

    figures: of the forecaster (the last row of this kind), by name.
    best_reference: name and figures of the reference whose PSNR of the mean is best; None if there is none.
    table: a row for each way to forecast, as Markdown.
    legend: of the figures in the table.
    test_set: facts, such as `num_forecasts`.
    """

    figures: dict[str, float | None]
    best_reference: tuple[str, dict[str, float | None]] | None
    table: str
    legend: list[Figure]
    test_set: dict[str, Any]


def forecast_figures(metrics: dict[str, Any]) -> ForecastFigures | None:
    """From the content of metrics.json; None if it holds other figures, or no forecaster."""
    kinds = {name: row["kind"] for name, row in metrics.get("rows", {}).items()}
    forecasters = [name for name, kind in kinds.items() if kind in ("forecaster", "regression")]
    if not forecasters:
        return None
    rows = {
        name: {figure: values["mean"] for figure, values in row["figures"].items()}
        for name, row in metrics["rows"].items()
    }
    legend = [Figure(name, **_described(metrics["figures"][name])) for name in _SHOWN if name in metrics["figures"]]
    lines = [["", *(f"{figure.label}, {figure.unit}" if figure.unit else figure.label for figure in legend)]]
    lines.append(["---"] * len(lines[0]))
    lines += [[as_plain(name), *(figure.text(row.get(figure.name)) for figure in legend)] for name, row in rows.items()]
    references = {name: rows[name] for name, kind in kinds.items() if kind == "reference"}
    references = {name: row for name, row in references.items() if row.get("psnr_mean") is not None}
    return ForecastFigures(
        rows[forecasters[-1]],
        max(references.items(), key=lambda item: item[1]["psnr_mean"], default=None),
        "\n".join(f"| {' | '.join(line)} |" for line in lines),
        legend,
        metrics["test_set"],
    )


def _described(figure: dict[str, Any]) -> dict[str, Any]:
    known = {key: figure[key] for key in ("label", "unit", "better", "meaning")}
    return {key: as_plain(text) if isinstance(text, str) else text for key, text in known.items()} | {"format": ".4g"}
