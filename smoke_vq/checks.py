"""Checks of the numbers that a caller passes, and of optional packages."""

import importlib.util
import math


def check_count(name: str, value: int) -> None:
    """Raise a ValueError unless `value`, the argument `name`, is an integer above 0."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} expects a whole number of 1 or more, found {value!r}.")


def check_positive(name: str, value: float) -> None:
    """Raise a ValueError unless `value`, the argument `name`, is a finite number above 0."""
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError(f"{name} expects a finite number above 0, found {value!r}.")


def check_installed(use: str, extra: str, **packages: str) -> None:
    """Raise a ValueError unless the packages (module=name), which `extra` of smoke-vq brings, are installed."""
    if missing := [name for module, name in packages.items() if importlib.util.find_spec(module) is None]:
        raise ValueError(f"{use} needs {' and '.join(missing)}: pip install 'smoke-vq[{extra}]'.")


def usable_device(name: str | None = None) -> str:
    """`name`, such as "cuda"; without one, cuda if torch finds a GPU, or else the CPU.

    Raises:
        ValueError: torch cannot use this device on this machine.
    """
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"The device {name!r} cannot be used: {str(error).strip().splitlines()[0]}") from error
    return name
