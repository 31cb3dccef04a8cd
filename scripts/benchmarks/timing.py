"""Timing of functions that are compared with each other, and the lines that are printed."""

import time
from collections.abc import Callable
from statistics import median

import torch


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
    print(f"\n{title} (ideal: {ideal})")
    for name, value in seconds.items():
        rate = f"  {amount / value:10.0f} {unit}" if amount else ""
        print(f"  {name:34s} {value * 1e3:9.2f} ms  {value / seconds[ideal]:6.2f} x{rate}")
