"""Quantizers: one file per paper, all subclasses of `base.Quantizer`."""

import inspect
from collections.abc import Mapping
from typing import Any

from ..registry import choose
from .base import Quantizer, QuantizerOutput
from .bsq import BinarySphericalQuantizer
from .ema_vector_quantizer import EMAVectorQuantizer
from .fsq import FiniteScalarQuantizer
from .gradients import GRADIENTS, Rotation, StraightThrough
from .grouped_quantizer import GroupedQuantizer
from .ibq import IndexBackpropagationQuantizer
from .lfq import LookupFreeQuantizer
from .residual_quantizer import ResidualQuantizer
from .sim_vector_quantizer import SimVectorQuantizer
from .vector_quantizer import VectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "vq": VectorQuantizer,
    "ema": EMAVectorQuantizer,
    "simvq": SimVectorQuantizer,
    "fsq": FiniteScalarQuantizer,
    "lfq": LookupFreeQuantizer,
    "bsq": BinarySphericalQuantizer,
    "ibq": IndexBackpropagationQuantizer,
    "residual": ResidualQuantizer,
    "grouped": GroupedQuantizer,
}

__all__ = [
    "GRADIENTS",
    "QUANTIZERS",
    "BinarySphericalQuantizer",
    "EMAVectorQuantizer",
    "FiniteScalarQuantizer",
    "GroupedQuantizer",
    "IndexBackpropagationQuantizer",
    "LookupFreeQuantizer",
    "Quantizer",
    "QuantizerOutput",
    "ResidualQuantizer",
    "Rotation",
    "SimVectorQuantizer",
    "StraightThrough",
    "VectorQuantizer",
    "make_quantizer",
]


def make_quantizer(name: str, num_codes: int, code_dim: int, kwargs: dict[str, Any] | None = None) -> Quantizer:
    """Build the quantizer `QUANTIZERS[name]`.

    Args:
        kwargs: keyword arguments of its class, besides `num_codes` and `code_dim`.

    Raises:
        ValueError: an unknown name; an unknown, missing or invalid keyword argument; invalid sizes.
    """
    quantizer_class = choose(QUANTIZERS, name, "quantizer")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise ValueError(f"quantizer_kwargs expects a mapping of keyword arguments, found {kwargs!r}.")
    try:
        return quantizer_class(num_codes, code_dim, **(kwargs or {}))
    except TypeError as error:
        own = [key for key in inspect.signature(quantizer_class).parameters if key not in ("num_codes", "code_dim")]
        raise ValueError(
            f"The quantizer_kwargs {kwargs or {}} do not fit quantizer {name!r}: {error}; it takes {own or 'none'}."
        ) from error
