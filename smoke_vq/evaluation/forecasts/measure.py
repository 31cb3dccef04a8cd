"""Making and measuring all forecasts of all rows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from .cases import ForecastCase
from .row import Row
from .scores import Forecast, ForecastScore


@dataclass
class Measured:
    """The measurements of one row.

    row: how the forecasts were made.
    num_members: S.
    seconds_per_frame: time for one predicted frame of one member.
    values: measurements of each forecast, (N, T, ...) by name and score.
    maps: mean over forecasts, (T, ...) by name and score.
    """

    row: Row
    num_members: int = 0
    seconds_per_frame: float = 0.0
    values: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    maps: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)


@torch.no_grad()
def measure(
    rows: Sequence[Row], cases: Sequence[ForecastCase], scores: dict[str, ForecastScore], show_progress: bool = True
) -> list[Measured]:
    """Make each forecast of each row, and measure it with each score that applies to it.

    Raises:
        ValueError: a forecast has another shape than (S, T, 3, H, W), is not finite, or its S differs between cases.
    """
    from tqdm import tqdm

    results = [Measured(row) for row in rows]
    bar = tqdm(total=len(rows) * len(cases), desc="forecasts", unit="forecast", disable=not show_progress)
    for case in cases:
        futures = case.future_values
        for result in results:
            bar.set_postfix_str(result.row.name, refresh=False)
            started = time.perf_counter()
            members = result.row.predict(case).float().cpu()
            seconds = time.perf_counter() - started
            _check(members, case, result)
            result.seconds_per_frame += seconds / (members.shape[0] * members.shape[1] * len(cases))
            _add(result, _forecast(members, futures, result.row), scores, len(cases))
            bar.update()
    bar.close()
    for result in results:
        result.values = {
            score: {name: torch.stack(values) for name, values in parts.items()}
            for score, parts in result.values.items()
        }
    return results


def _forecast(members: torch.Tensor, futures: torch.Tensor, row: Row) -> Forecast:
    """Members that are futures are compared with other futures than themselves."""
    if len(futures) == 1:
        return Forecast(members, futures[0])
    if not row.from_futures:
        return Forecast(members, futures[0], futures)
    half = len(members) // 2
    return Forecast(members, futures[0], futures[1 + half :], half)


def _check(members: torch.Tensor, case: ForecastCase, result: Measured) -> None:
    height, width = case.past.shape[1:3]
    expected = (case.num_frames, 3, height, width)
    if members.ndim != 5 or members.shape[1:] != expected:
        raise ValueError(
            f"{result.row.name} made a forecast of shape {tuple(members.shape)}: expected (samples, {case.num_frames}, "
            f"3, {height}, {width})."
        )
    if not members.isfinite().all():
        raise ValueError(f"{result.row.name} made a forecast with values that are not finite ({case.name}).")
    if result.num_members not in (0, len(members)):
        raise ValueError(
            f"{result.row.name} made {len(members)} samples of {case.name} and {result.num_members} of another: "
            f"expected equal numbers."
        )
    result.num_members = len(members)


def _add(result: Measured, forecast: Forecast, scores: dict[str, ForecastScore], num_cases: int) -> None:
    for name, score in scores.items():
        if not score.applies_to(forecast):
            continue
        for part, value in score.measure(forecast).items():
            if part in score.maps:
                maps = result.maps.setdefault(name, {})
                maps[part] = maps.get(part, 0) + value / num_cases
            else:
                result.values.setdefault(name, {}).setdefault(part, []).append(value.double())
