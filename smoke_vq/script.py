"""Helpers for all scripts: short error messages and the use of all CPU cores."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator


def run(main: Callable[[], None]) -> None:
    """Call `main`. A ValueError or OSError is printed as `error: <message>` without traceback, with exit status 2.

    SIGTERM ends it like Ctrl-C, so that temporary files are deleted.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    takes_over = in_main_thread and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if takes_over:
        signal.signal(signal.SIGTERM, _stop)
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        if takes_over:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number, frame) -> None:
    raise KeyboardInterrupt


def _die_at_sigterm() -> None:
    """In a forked process: a pool ends its processes by SIGTERM, which a handler in Python can miss before a wait."""
    if signal.getsignal(signal.SIGTERM) is _stop:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_die_at_sigterm)


def use_all_cores(accelerator: "Accelerator", num_threads: int | None = None) -> None:
    """Let torch use `num_threads` CPU threads per process, by default an equal share of the available cores.

    `accelerate launch` sets one thread per process by default. Does nothing if the device is not the CPU.
    """
    if accelerator.device.type == "cpu":
        import torch

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(num_threads or max(1, cores // accelerator.num_processes))
