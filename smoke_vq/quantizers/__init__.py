"""Quantizers: one file per paper behind one contract (`base.Quantizer`)."""

from .base import Quantizer, QuantizerOutput
from .vector_quantizer import VectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "vq": VectorQuantizer,
}

__all__ = ["QUANTIZERS", "Quantizer", "QuantizerOutput", "VectorQuantizer"]
