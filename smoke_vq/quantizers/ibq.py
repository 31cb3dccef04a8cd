"""Index backpropagation quantization (Shi et al., 2024, arXiv:2412.02692)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from ..checks import check_positive
from .base import MAX_TABLE, Quantizer, QuantizerOutput
from .entropy import categorical_losses


class _IndexBackpropagation(torch.autograd.Function):
    """Returns the rows `indices` of `table`; the gradient is that of `(onehot + p - sg(p)) table`.

    It reaches the chosen rows as in a lookup, and the probabilities as in the product `p table`. The forward pass needs
    no product: it returns the codes themselves, which the formula does only if its terms are added in the right order.
    """

    @staticmethod
    def forward(ctx, probabilities: torch.Tensor, table: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(table, indices)
        return table[indices]

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        table, indices = ctx.saved_tensors
        return gradient @ table.t(), torch.zeros_like(table).index_add(0, indices, gradient), None


class IndexBackpropagationQuantizer(Quantizer):
    """Chooses the code with the largest dot product, and passes the gradient to all codes by the softmax over them.

    With logits `z.E^T`, `p = softmax(logits)` and the one-hot vector of the largest logit, the code is
    `q = (onehot + p - sg(p)) E`. `q_h` is the same code with the gradient of a lookup. The losses, means
    over elements and none weighted:

    - `quantization`: (q - z)^2, which moves the latents and, by the softmax, all codes;
    - `commitment`: (sg(q_h) - z)^2;
    - `codebook`: (q_h - sg(z))^2;
    - `sample_entropy`, `imbalance`: as in `BinaryQuantizer`, of the softmax of `logits / temperature`.

    The default weights and the temperature are those of the authors' configurations. `codebook` is None, because every
    code learns in each step: it needs neither k-means nor revival. A code is not quantized to itself if another one has
    a larger dot product with it. Everything runs in float32, regardless of autocast and of the dtype of the latents;
    memory is K numbers for each latent.

    Args:
        num_codes: K.
        code_dim: D.
        temperature: of the entropies.

    Raises:
        ValueError: another temperature than a number above 0.
    """

    max_codes: ClassVar = MAX_TABLE
    default_loss_weights: ClassVar = {
        "quantization": 1.0,
        "commitment": 1.0,
        "codebook": 0.25,
        "sample_entropy": 0.05,
        "imbalance": 0.05,
    }

    def __init__(self, num_codes: int, code_dim: int, *, temperature: float = 0.01):
        super().__init__(num_codes, code_dim)
        check_positive("temperature", temperature)
        self.temperature = temperature
        self.table = nn.Parameter(torch.randn(num_codes, code_dim))

    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        with torch.autocast(latents.device.type, enabled=False):
            vectors = self.to_code_space(latents)
            table, rows = self.codes(), vectors.flatten(0, 2)
            logits = rows @ table.t()
            indices = logits.detach().argmax(dim=1)
            looked_up = F.embedding(indices, table)
            codes = _IndexBackpropagation.apply(logits.softmax(dim=1), table, indices)
            sample_entropy, imbalance = categorical_losses(logits / self.temperature)
            losses = {
                "quantization": F.mse_loss(codes, rows),
                "commitment": F.mse_loss(rows, looked_up.detach()),
                "codebook": F.mse_loss(looked_up, rows.detach()),
                "sample_entropy": sample_entropy,
                "imbalance": imbalance,
            }
            quantized = codes.view_as(vectors).permute(0, 3, 1, 2).to(latents.dtype)
        return QuantizerOutput(quantized=quantized, indices=indices.view(vectors.shape[:3]), losses=losses)

    def codes(self) -> torch.Tensor:
        return self.table.float()

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        return F.embedding(indices, self.codes()).permute(0, 3, 1, 2)
