"""Vector quantization whose codes are running means of their latents (van den Oord et al., 2017, appendix A.1)."""

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F

from ..checks import check_positive
from .nearest import NearestQuantizer


class EMAVectorQuantizer(NearestQuantizer):
    """Nearest code by Euclidean distance; one loss, and codes that no gradient changes.

    With n_i latents of sum s_i at code i in an optimizer step, over all micro-batches and processes, eq. 6 to 8 are

        N_i <- decay N_i + (1 - decay) n_i,    m_i <- decay m_i + (1 - decay) s_i,    e_i = m_i / N_i,

    where the division is by `(N_i + epsilon) / (N + K epsilon) N` with N = sum of N_i, the Laplace smoothing of the
    authors' code (`VectorQuantizerEMA` in sonnet). `counts` holds N_i and `sums` m_i; both are saved with the model, so
    that a training can continue from it. N_i starts as 1 and m_i as the initial code. Codes that k-means or a revival
    moved restart with the mean N_i of all codes.

    `codebook` is a parameter without gradient. Latents that `observe` has gathered change it in `end_step`.

    - `commitment`: mean of (z - sg(e))^2, moves the latents to their codes; not weighted here.

    Args:
        num_codes, code_dim, gradient, cosine, search_dim: as in `NearestQuantizer`. The paper's gradient is
            `straight_through`, and it has neither of the other two.
        decay: of the running sums, in [0, 1).
        epsilon: of the smoothing, above 0.

    Raises:
        ValueError: as in `NearestQuantizer`, and for a `decay` or `epsilon` outside its range.
    """

    default_loss_weights: ClassVar = {"commitment": 0.25}

    counts: torch.Tensor
    sums: torch.Tensor

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        *,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        gradient: str = "straight_through",
        cosine: bool = False,
        search_dim: int | None = None,
    ):
        super().__init__(num_codes, code_dim, gradient=gradient, cosine=cosine, search_dim=search_dim)
        if type(decay) not in (int, float) or not 0 <= decay < 1:
            raise ValueError(f"decay expects a number in [0, 1), found {decay!r}.")
        check_positive("epsilon", epsilon)
        self.decay, self.epsilon = decay, epsilon
        # (K, 1 + d): n_i and s_i of this process. Not a buffer, because distributed training overwrites buffers with
        # those of the first process.
        self._observed: torch.Tensor | None = None

    def make_codes(self) -> None:
        self.codebook = self.initial_codebook().requires_grad_(False)
        self.register_buffer("counts", torch.ones(self.num_codes))
        self.register_buffer("sums", self.codebook.detach().clone())

    def losses(self, vectors: torch.Tensor, codes: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"commitment": F.mse_loss(vectors, codes.detach())}

    @torch.no_grad()
    def observe(self, latents: torch.Tensor, indices: torch.Tensor) -> None:
        vectors = self.to_code_space(latents).flatten(0, 2)
        rows = torch.cat([torch.ones_like(vectors[:, :1]), vectors], dim=1)
        if self._observed is None:
            self._observed = rows.new_zeros(self.num_codes, rows.shape[1])
        self._observed.index_add_(0, indices.flatten(), rows)

    @torch.no_grad()
    def end_step(self, reduce: Callable[[torch.Tensor], torch.Tensor]) -> None:
        assert self._observed is not None and self.codebook is not None
        observed, self._observed = reduce(self._observed), None
        self.counts.mul_(self.decay).add_(observed[:, 0], alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(observed[:, 1:], alpha=1 - self.decay)
        total = self.counts.sum()
        smoothed = (self.counts + self.epsilon) / (total + self.num_codes * self.epsilon) * total
        self.codebook.copy_(self.sums / smoothed[:, None])

    def forget_step(self) -> None:
        self._observed = None

    @torch.no_grad()
    def codes_replaced(self, rows: torch.Tensor) -> None:
        assert self.codebook is not None
        self.counts[rows] = self.counts.mean()
        self.sums[rows] = self.codebook[rows].to(self.sums.dtype) * self.counts[rows, None]
