"""Colours by which the codes of a model are shown."""

import numpy as np
import torch

from ..data.processor import SmokeImageProcessor
from ..pictures import code_colours


@torch.no_grad()
def colours_of(model, processor: SmokeImageProcessor) -> np.ndarray:
    """A colour for each code, (K, 3) uint8, dark for codes like those of a black frame.

    With several codes at a position, those of the first.
    """
    quantizer, black = model.quantizer, np.zeros((1, processor.height, processor.height, 3), np.uint8)
    codes = torch.arange(quantizer.num_codes, device=model.device).view(-1, 1, 1, 1).expand(-1, 1, 1, quantizer.depth)
    embeddings = quantizer.embed(codes if quantizer.depth > 1 else codes[..., 0]).flatten(1)
    background = quantizer.embed(model.encode(processor(black).pixel_values.to(model.device)).indices).mean((0, 2, 3))
    return code_colours(embeddings.cpu().numpy(), background.cpu().numpy())


def first_codes(indices: torch.Tensor) -> np.ndarray:
    """The codes (N, h, w) of codes (N, h, w) or (N, h, w, depth)."""
    return (indices if indices.ndim == 3 else indices[..., 0]).cpu().numpy()
