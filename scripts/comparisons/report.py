"""Mean and spread over seeds, differences between variants, and tables of them."""

from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any

from smoke_vq.metrics import Figure, figure_of

from .measuring import FIGURES

COLUMNS = (
    "masked_mse",
    "lpips_alex",
    "psnr",
    "spectrum_high",
    "mass_error",
    "hue_error",
    "saturation_error",
    "grid_2",
    "num_codes_used",
    "position_perplexity",
    "smoke_position_perplexity",
    "bits",
    "entropy_bits",
    "num_parameters",
    "step_ratio",
)
DIFFERENCES = (
    "masked_mse",
    "lpips_alex",
    "psnr",
    "spectrum_high",
    "hue_error",
    "smoke_position_perplexity",
    "entropy_bits",
)

Figures = dict[str, float | None]


def over_seeds(runs: dict[int, Figures]) -> dict[str, dict[str, float | None]]:
    """Mean and sample standard deviation of each figure that every run has; None with a single run."""
    names = [name for name in next(iter(runs.values()), {}) if all(run.get(name) is not None for run in runs.values())]
    return {name: _mean_and_spread([run[name] for run in runs.values()]) for name in names}


def differences(runs: dict[int, Figures], reference: dict[int, Figures]) -> dict[str, dict[str, float | None]]:
    """Mean and sample standard deviation of the differences between runs with the same seed."""
    return over_seeds(
        {
            seed: {name: run[name] - reference[seed][name] for name in run if _known(name, run, reference[seed])}
            for seed, run in runs.items()
            if seed in reference
        }
    )


def summary(runs: dict[str, dict[int, Figures]]) -> dict[str, dict[str, Any]]:
    """For each variant its runs, `over_seeds` and, except for the first variant, `differences` from it."""
    first = next(iter(runs))
    return {
        name: {"runs": own, "over_seeds": over_seeds(own)}
        | ({} if name == first else {"differences": differences(own, runs[first])})
        for name, own in runs.items()
    }


def tables(variants: dict[str, dict[str, Any]]) -> str:
    """Two Markdown tables: figures of each variant, and differences from the first."""
    first, seeds = next(iter(variants)), max(len(one["runs"]) for one in variants.values())
    figures = _table({name: one["over_seeds"] for name, one in variants.items()}, COLUMNS, "")
    others = {name: one["differences"] for name, one in variants.items() if "differences" in one}
    text = f"Mean and standard deviation over {seeds} seed(s):\n\n{figures}\n"
    if not others:
        return text
    return f"{text}\nDifference from {first} at the same seed, likewise:\n\n{_table(others, DIFFERENCES, '+')}\n"


def _table(rows: dict[str, dict[str, dict[str, float | None]]], names: Iterable[str], sign: str) -> str:
    known = {figure.name: figure for figure in FIGURES}
    figures = [known.get(name) or figure_of(name) for name in names if any(name in row for row in rows.values())]
    head = ["variant", *(f"{figure.label}, {figure.unit}" if figure.unit else figure.label for figure in figures)]
    cells = [[name, *(_cell(figure, row.get(figure.name), sign) for figure in figures)] for name, row in rows.items()]
    lines = [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *cells)]
    return "\n".join(lines)


def _cell(figure: Figure, value: dict[str, float | None] | None, sign: str) -> str:
    if value is None:
        return "-"
    form = ",.0f" if figure.format.endswith("d") else figure.format or ".4g"
    spread = "" if value["std"] is None or value["std"] == 0 else f" ± {value['std']:{form}}"
    return f"{value['mean']:{sign}{form}}{spread}"


def _known(name: str, *runs: Figures) -> bool:
    return all(run.get(name) is not None for run in runs)


def _mean_and_spread(values: list[float]) -> dict[str, float | None]:
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}
