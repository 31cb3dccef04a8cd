"""Results as tables and as JSON, and alarms."""

from collections.abc import Sequence
from typing import Any

import torch

from ...preparation.futures.divergence import horizons
from .bootstrap import LEVEL
from .results import Estimate, Results
from .scores import forecast_figure

# The columns of the summary: a figure, and the frame ahead or None for the mean over all frames.
_SUMMARY = (
    ("psnr_mean", None),
    ("psnr", None),
    ("ssim", None),
    ("lpips", None),
    ("iou", None),
    ("mass_error", None),
    ("crps", None),
    ("crps_skill", None),
    ("spread_skill", None),
    ("energy_distance", None),
)


def alarms(results: Results) -> list[str]:
    """A sentence for each forecaster whose mean loses to the regression of its own size."""
    regressions = [name for name, one in results.rows.items() if one.row.kind == "regression"]
    found = []
    for name, one in results.rows.items():
        for regression in regressions:
            if one.row.kind != "forecaster" or one.num_members == 1:
                continue
            difference = results.differences(name, regression)["psnr_mean"]
            if difference.mean < 0:
                low, high = difference.interval
                found.append(
                    f"ALARM: the mean of {name} is {-difference.mean:.2f} dB behind {regression} "
                    f"({100 * LEVEL:.0f} % interval of the difference {low:.2f} to {high:.2f} dB): it is undertrained "
                    f"or wrong."
                )
    return found


def summary_table(results: Results) -> str:
    """Rows down, figures across, each a mean over all frames."""
    figures = {row: results.figures(row) for row in results.rows}
    columns = [
        (forecast_figure(name), ahead) for name, ahead in _SUMMARY if any(name in one for one in figures.values())
    ]
    lines = [["mean over all frames", "members", *(figure.label for figure, _ in columns), "ms a frame"]]
    for row, one in results.rows.items():
        cells = [_mean(figures[row].get(figure.name), figure) for figure, _ in columns]
        time = "" if one.row.kind == "limit" else f"{1000 * one.seconds_per_frame:.3g}"
        lines.append([row, str(one.num_members), *cells, time])
    return _markdown(lines)


def figure_table(results: Results, name: str) -> str:
    """One figure: rows down, frames ahead across, and the mean over frames with its interval."""
    figure = forecast_figure(name)
    estimates = {row: results.figures(row).get(name) for row in results.rows}
    estimates = {row: estimate for row, estimate in estimates.items() if estimate is not None}
    ahead = horizons(len(next(iter(estimates.values())).by_frame))
    lines = [["frame ahead", *map(str, ahead), "mean", f"{100 * LEVEL:.0f} % interval"]]
    for row, estimate in estimates.items():
        cells = [figure.text(_number(estimate.by_frame[frame - 1])) for frame in ahead]
        lines.append([row, *cells, _mean(estimate, figure), _interval(estimate, figure)])
    return _markdown(lines)


def difference_table(results: Results, other: str, names: Sequence[str]) -> str:
    """Each forecaster minus the row `other`, paired: means over frames with intervals."""
    rows = [
        name for name, one in results.rows.items() if name != other and one.row.kind in ("forecaster", "regression")
    ]
    differences = {row: results.differences(row, other) for row in rows}
    names = [name for name in names if any(name in one for one in differences.values())]
    lines = [[f"minus {other}", *(forecast_figure(name).label for name in names)]]
    for row in rows:
        estimates = [(differences[row].get(name), forecast_figure(name)) for name in names]
        lines.append([row, *(f"{_mean(one, figure)} ({_interval(one, figure)})" for one, figure in estimates)])
    return _markdown(lines)


def markdown(results: Results, title: str, others: Sequence[str]) -> str:
    """The whole report: summary, alarms, differences from the rows `others`, and a table for each figure."""
    parts = [f"# {title}", f"{results.num_forecasts} forecasts of {results.num_groups} plumes or clips."]
    parts += [summary_table(results), *alarms(results)]
    if any(one.row.kind in ("forecaster", "regression") for one in results.rows.values()):
        names = ("psnr_mean", "lpips", "iou", "mass_error", "crps")
        parts += ["## Differences", *(difference_table(results, other, names) for other in others)]
    for name in figure_names(results):
        figure = forecast_figure(name)
        unit = f", {figure.unit}" if figure.unit else ""
        parts += [
            f"## {figure.label}{unit}",
            f"{figure.meaning[:1].upper()}{figure.meaning[1:]}.",
            figure_table(results, name),
        ]
    return "\n\n".join(parts) + "\n"


def figure_names(results: Results) -> list[str]:
    """The figures that any row has, in the order of the scores."""
    return list(dict.fromkeys(name for row in results.rows for name in results.figures(row)))


def as_json(results: Results, test_set: dict[str, Any], others: Sequence[str]) -> dict[str, Any]:
    """Everything as JSON values; undefined numbers are None."""
    rows = {}
    for name, one in results.rows.items():
        counts = one.values.get("rank_histogram", {}).get("counts")
        rows[name] = {
            "kind": one.row.kind,
            "num_members": one.num_members,
            "seconds_per_frame": one.seconds_per_frame,
            "figures": {key: _estimate(value) for key, value in results.figures(name).items()},
            "rank_histogram": None if counts is None else _numbers(counts.sum(dim=0)),
            "differences": {
                other: {key: _estimate(value) for key, value in results.differences(name, other).items()}
                for other in others
                if other != name and one.row.kind in ("forecaster", "regression")
            },
        }
    figures = {name: forecast_figure(name) for name in figure_names(results)}
    return {
        "test_set": {**test_set, "num_forecasts": results.num_forecasts, "num_groups": results.num_groups},
        "alarms": alarms(results),
        "figures": {
            name: {"label": f.label, "unit": f.unit, "better": f.better, "meaning": f.meaning}
            for name, f in figures.items()
        },
        "rows": rows,
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "by_frame": _numbers(estimate.by_frame),
        "interval_by_frame": _numbers(estimate.interval_by_frame.T),
        "mean": _number(torch.tensor(estimate.mean)),
        "interval": [_number(torch.tensor(edge)) for edge in estimate.interval],
    }


def _number(value: torch.Tensor) -> float | None:
    return float(value) if value.isfinite() else None


def _numbers(values: torch.Tensor) -> list:
    return [_numbers(value) if value.ndim else _number(value) for value in values]


def _mean(estimate: Estimate | None, figure) -> str:
    return "-" if estimate is None else figure.text(_number(torch.tensor(estimate.mean)))


def _interval(estimate: Estimate | None, figure) -> str:
    if estimate is None:
        return "-"
    return " to ".join(figure.text(_number(torch.tensor(edge))) for edge in estimate.interval)


def _markdown(lines: list[list[str]]) -> str:
    """Lines of cells as a Markdown table, aligned for a terminal; the first line is the header."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
