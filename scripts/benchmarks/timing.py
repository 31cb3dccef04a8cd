"""Timing of functions that are compared with each other, and the lines that are printed."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import linear_regression
from typing import Any

import numpy as np
import torch

RESULTS: list[dict[str, Any]] = []  # everything that was reported, for a file


class Rounds(float):
    """The median of several measurements, which it keeps as `values`."""

    values: tuple[float, ...]

    def __new__(cls, values: Iterable[float]):
        values = tuple(values)
        self = super().__new__(cls, np.median(values))
        self.values = values
        return self

    def __getnewargs__(self):  # to be sent to another process
        return (self.values,)


def quartiles(values: Sequence[float]) -> list[float]:
    return np.quantile(values, (0.25, 0.75)).tolist()


def clock(device: str) -> Callable[[], float]:
    """Seconds of the process on a CPU, which other processes change little, and of a clock on a GPU."""
    return time.process_time if device == "cpu" else time.perf_counter


def interleaved(
    functions: dict[str, Callable[[], object]],
    device: str,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Rounds]:
    """Seconds per call. The functions are called in turn, so that a slower machine slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(rounds + 1):
        for name, function in functions.items():
            if device == "cuda":
                torch.cuda.synchronize()
            start = clock()
            function()
            if device == "cuda":
                torch.cuda.synchronize()
            if i > 0:  # the first round warms up
                times[name].append(clock() - start)
    return {name: Rounds(values) for name, values in times.items()}


def report(title: str, seconds: dict[str, Rounds], ideal: str, unit: str = "", amount: float = 0) -> None:
    """Print medians of the time and of its ratio to the ideal in the same round and, in brackets, its quartiles."""
    ratios = {name: Rounds(np.divide(each.values, seconds[ideal].values)) for name, each in seconds.items()}
    spread = {name: quartiles(ratio.values) for name, ratio in ratios.items()}
    rounds = {name: each.values for name, each in seconds.items()}
    result = {"title": title, "ideal": ideal, "seconds": seconds, "ratios": ratios, "ratio_quartiles": spread}
    RESULTS.append(result | {"rounds": rounds, "unit": unit, "amount": amount})
    print(f"\n{title} (ideal: {ideal})")
    for name, value in seconds.items():
        rate = f"  {amount / value:10.0f} {unit}" if amount else ""
        low, high = spread[name]
        print(f"  {name:34s} {value * 1e3:9.2f} ms  {ratios[name]:6.2f} x ({low:.2f} to {high:.2f}){rate}")


def report_growth(title: str, axis: str, sizes: Sequence[int], seconds: Sequence[Rounds]) -> None:
    """Print seconds by size with their quartiles, and the exponent of the power law that fits best; 1 is linear."""
    exponent = linear_regression([math.log(size) for size in sizes], [math.log(value) for value in seconds]).slope
    spread = [quartiles(each.values) for each in seconds]
    result = {"title": title, "axis": axis, "sizes": list(sizes), "seconds": list(seconds), "quartiles": spread}
    RESULTS.append(result | {"exponent": exponent})
    print(f"\n{title}: exponent {exponent:.2f}")
    for size, value, (low, high) in zip(sizes, seconds, spread, strict=True):
        times = f"{value * 1e3:12.3f} ms ({low * 1e3:.3f} to {high * 1e3:.3f})"
        print(f"  {size:>12,d} {axis:10s} {times}  {value / size * 1e9:12.2f} ns each")
