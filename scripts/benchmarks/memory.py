"""The memory that a call takes."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch


def peak_of(function: Callable[[], object], device: str) -> float:
    """Peak bytes during a call above what was there before, with its result.

    On a GPU that of torch's allocator, on a CPU the resident memory of the process; NaN where Linux is missing.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    before = reset_peak()
    function()
    return peak() - before


def reset_peak() -> float:
    """Set the peak of this process's memory to what it has now, and return it in bytes; NaN where Linux is missing."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed, but is still held, would hide what the call takes
        Path("/proc/self/clear_refs").write_text("5")
    except (AttributeError, OSError, TypeError):
        return float("nan")
    return peak()


def peak() -> float:
    """The largest resident memory of this process so far, in bytes; NaN where Linux is missing."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    return 1024.0 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
