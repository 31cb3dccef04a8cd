"""k-means, to initialize a codebook on the latents.

k-means++ seeding (Arthur and Vassilvitskii, 2007), then Lloyd's iterations; a cluster that loses all its vectors moves
to the vector with the largest error.
"""

import torch

from ..float64 import finest_dtype
from .nearest import nearest_codes


def _seed(vectors: torch.Tensor, num_codes: int, generator: torch.Generator) -> torch.Tensor:
    """k-means++: draw each new centre with a probability proportional to its squared distance from the others."""
    centres = [vectors[torch.randint(len(vectors), (1,), generator=generator, device=vectors.device)]]
    distances = (vectors - centres[0]).square().sum(dim=1)
    dtype = finest_dtype(vectors.device)
    for _ in range(num_codes - 1):
        # Invert the cumulative distribution: torch.multinomial is limited to 2^24 entries.
        cumulative = distances.cumsum(0, dtype=dtype)
        draw = torch.rand(1, generator=generator, device=vectors.device, dtype=dtype) * cumulative[-1]
        centre = vectors[torch.searchsorted(cumulative, draw).clamp(max=len(vectors) - 1)]
        centres.append(centre)
        distances = torch.minimum(distances, (vectors - centre).square().sum(dim=1))
    return torch.cat(centres)


@torch.no_grad()
def kmeans(vectors: torch.Tensor, num_codes: int, num_iterations: int = 10, seed: int = 0) -> torch.Tensor:
    """Return `num_codes` centres of `vectors`.

    Args:
        vectors: (N, D); N at least `num_codes`, better 16 times as many.
        seed: the same seed gives the same centres.

    Returns:
        (num_codes, D), float32.

    Raises:
        ValueError: fewer vectors than codes.
    """
    if len(vectors) < num_codes:
        raise ValueError(
            f"k-means needs at least as many vectors as codes: found {len(vectors)} for {num_codes} codes."
        )
    vectors = vectors.float()
    generator = torch.Generator(vectors.device).manual_seed(seed)
    centres = _seed(vectors, num_codes, generator)
    for _ in range(num_iterations):
        nearest = nearest_codes(vectors, centres)
        counts = torch.bincount(nearest, minlength=num_codes)
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        empty = counts == 0
        if empty.any():
            distances = (vectors - centres[nearest]).square().sum(dim=1)
            sums[empty] = vectors[distances.topk(int(empty.sum())).indices]
        centres = sums / counts.clamp(min=1)[:, None]
    return centres
