"""Quantizers: one file per paper, all subclasses of `base.Quantizer`."""

import inspect
from typing import Any

from ..registry import choose
from .base import Quantizer, QuantizerOutput
from .vector_quantizer import StraightThrough, VectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "vq": VectorQuantizer,
}

__all__ = ["QUANTIZERS", "Quantizer", "QuantizerOutput", "StraightThrough", "VectorQuantizer", "make_quantizer"]


def make_quantizer(name: str, num_codes: int, code_dim: int, kwargs: dict[str, Any] | None = None) -> Quantizer:
    """Build the quantizer `QUANTIZERS[name]`.

    Args:
        kwargs: keyword arguments of its class, besides `num_codes` and `code_dim`.

    Raises:
        ValueError: unknown name or keyword, or invalid sizes.
    """
    quantizer_class = choose(QUANTIZERS, name, "quantizer")
    parameters = [p for p in inspect.signature(quantizer_class).parameters if p not in ("num_codes", "code_dim")]
    unknown = sorted(set(kwargs or {}) - set(parameters))
    if unknown:
        expected = f"expected some of {parameters}" if parameters else "it has none"
        raise ValueError(f"Quantizer {name!r} has no keyword argument {unknown[0]!r} in quantizer_kwargs: {expected}.")
    return quantizer_class(num_codes, code_dim, **(kwargs or {}))
