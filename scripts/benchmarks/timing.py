"""Timing of functions that are compared with each other, and the lines that are printed."""

import math
import time
from collections.abc import Callable, Sequence
from statistics import linear_regression, median
from typing import Any

import torch

RESULTS: list[dict[str, Any]] = []  # everything that was reported, for a file


def interleaved(
    functions: dict[str, Callable[[], object]],
    device: str,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds per call. The functions are called in turn, so that a slower machine slows all of them."""
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
    return {name: median(values) for name, values in times.items()}


def report(title: str, seconds: dict[str, float], ideal: str, unit: str = "", amount: float = 0) -> None:
    RESULTS.append({"title": title, "ideal": ideal, "seconds": seconds, "unit": unit, "amount": amount})
    print(f"\n{title} (ideal: {ideal})")
    for name, value in seconds.items():
        rate = f"  {amount / value:10.0f} {unit}" if amount else ""
        print(f"  {name:34s} {value * 1e3:9.2f} ms  {value / seconds[ideal]:6.2f} x{rate}")


def report_growth(title: str, axis: str, sizes: Sequence[int], seconds: Sequence[float]) -> None:
    """Print seconds by size, and the exponent of the power law that fits them best; 1 is linear."""
    exponent = linear_regression([math.log(size) for size in sizes], [math.log(value) for value in seconds]).slope
    RESULTS.append({"title": title, "axis": axis, "sizes": list(sizes), "seconds": list(seconds), "exponent": exponent})
    print(f"\n{title}: exponent {exponent:.2f}")
    for size, value in zip(sizes, seconds, strict=True):
        print(f"  {size:>12,d} {axis:10s} {value * 1e3:12.3f} ms  {value / size * 1e9:12.2f} ns each")
