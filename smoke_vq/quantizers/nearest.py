"""Quantizers that choose the nearest code by Euclidean distance."""

from abc import abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from ..registry import choose
from .base import MAX_TABLE, Quantizer, QuantizerOutput
from .gradients import GRADIENTS
from .projection import CodeProjection

SEARCH_TILE = 1024  # vectors and codes of a matrix product on a CPU, whose 4 MB of distances stay in the cache
SEARCH_DISTANCES = 2**24  # of a matrix product elsewhere, 64 MiB


@torch.no_grad()
def nearest_codes(vectors: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """Index of the nearest code of each vector, the argmin of `||e||^2 - 2 z.e`, in float32.

    `||z||^2` is the same for every code and is left out: adding it rounds away the differences between codes (with it,
    0.2-0.6 % of the codes are wrong at the usual initialization, and up to 88 % in bfloat16).

    Args:
        vectors: (N, D).
        codebook: (K, D).

    Returns:
        (N,), int64 in [0, K).
    """
    with torch.autocast(vectors.device.type, enabled=False):
        vectors, codes = vectors.float(), codebook.float()
        norms = codes.square().sum(dim=1)
        if torch.compiler.is_exporting():  # a graph for all batch sizes, which cannot have a number of tiles
            return _nearest(vectors, codes, norms, len(codes))
        rows, columns = SEARCH_TILE, SEARCH_TILE
        if vectors.device.type != "cpu" or torch.compiler.is_compiling():
            rows, columns = max(1, SEARCH_DISTANCES // len(codes)), len(codes)
        return torch.cat([_nearest(part, codes, norms, columns) for part in vectors.split(rows)])


def _nearest(vectors: torch.Tensor, codes: torch.Tensor, norms: torch.Tensor, columns: int) -> torch.Tensor:
    """The search by matrix products with so many codes; of equally near codes the first."""
    smallest = indices = None
    for start, tile in zip(range(0, len(codes), columns), codes.split(columns), strict=True):
        found = torch.addmm(norms[start : start + columns], vectors, tile.t(), alpha=-2).min(dim=1)
        if smallest is None:
            smallest, indices = found.values, found.indices
        else:
            indices = torch.where(found.values < smallest, found.indices + start, indices)
            smallest = torch.minimum(found.values, smallest)
    return indices


class NearestQuantizer(Quantizer):
    """Base class of the quantizers that replace a vector by the nearest of `codes()`.

    A subclass implements `make_codes`, which its constructor calls, and `losses`.

    The search may be in fewer dimensions (factorized codes) and on the unit sphere (cosine similarity), as in ViT-VQGAN
    (Yu et al., 2022, arXiv:2110.04627, section 3.2). The codes, the losses, k-means and revivals are then in that
    space, and only `forward` and `embed` return vectors of dimension D.

    Everything runs in float32, regardless of autocast and of the dtype of the latents.

    Args:
        num_codes: K.
        code_dim: D.
        gradient: how the gradient passes from the codes to the latents, a name in `gradients.GRADIENTS`.
        cosine: whether latents and codes are divided by their length, so that the code of the smallest angle is chosen.
        search_dim: d, the dimension of the codes: a learned linear map leads from D to d dimensions before the search,
            and another one back after it. None for D, without maps.

    Raises:
        ValueError: an unknown gradient; values of `cosine` or `search_dim` that are not valid.
    """

    max_codes: ClassVar = MAX_TABLE

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        *,
        gradient: str = "straight_through",
        cosine: bool = False,
        search_dim: int | None = None,
    ):
        super().__init__(num_codes, code_dim)
        choose(GRADIENTS, gradient, "gradient")
        if not isinstance(cosine, bool):
            raise ValueError(f"cosine expects true or false, found {cosine!r}.")
        if search_dim is not None and (type(search_dim) is not int or not 1 <= search_dim <= code_dim):
            raise ValueError(
                f"search_dim expects an integer from 1 to {code_dim}, the dimension of the latents, or null: found "
                f"{search_dim!r}."
            )
        self.gradient = gradient
        self.cosine = cosine
        self.search_dim = code_dim if search_dim is None else search_dim
        self.projection = CodeProjection(code_dim, self.search_dim)
        self.make_codes()

    @abstractmethod
    def make_codes(self) -> None:
        """Create what holds the codes, of dimension `search_dim`: `codebook`, or what `codes` computes them from."""

    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        with torch.autocast(latents.device.type, enabled=False):
            vectors, table = self.to_code_space(latents), self.codes()
            indices = nearest_codes(vectors.detach().flatten(0, 2), table).view(vectors.shape[:3])
            codes = F.embedding(indices, table)
            losses = self.losses(vectors, codes)
            passed = GRADIENTS[self.gradient].apply(vectors, codes.detach())
            quantized = self.projection.to_latents(passed).permute(0, 3, 1, 2).to(latents.dtype)
        return QuantizerOutput(quantized=quantized, indices=indices, losses=losses)

    @abstractmethod
    def losses(self, vectors: torch.Tensor, codes: torch.Tensor) -> dict[str, torch.Tensor]:
        """The losses of vectors (B, h, w, d) and their codes (B, h, w, d), both with gradient."""

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        return self.projection.to_latents(F.embedding(indices, self.codes())).permute(0, 3, 1, 2)

    def to_code_space(self, latents: torch.Tensor) -> torch.Tensor:
        vectors = super().to_code_space(latents)
        return self.direction(self.projection.to_codes(vectors))

    def codes(self) -> torch.Tensor:
        return self.direction(super().codes())

    def initial_codebook(self) -> nn.Parameter:
        """Codes (num_codes, d) that are uniform in [-1/K, 1/K], or on the unit sphere with `cosine`."""
        codes = torch.empty(self.num_codes, self.search_dim)
        if self.cosine:
            return nn.Parameter(F.normalize(codes.normal_(), dim=1))
        return nn.Parameter(codes.uniform_(-1 / self.num_codes, 1 / self.num_codes))

    def direction(self, vectors: torch.Tensor) -> torch.Tensor:
        """With `cosine`, the vectors divided by their length; 0 stays 0."""
        return F.normalize(vectors, dim=-1) if self.cosine else vectors
