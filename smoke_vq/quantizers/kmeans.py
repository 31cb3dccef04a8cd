"""k-means, to initialize a codebook on the latents.

k-means++ seeding (Arthur and Vassilvitskii, 2007), then Lloyd's iterations; a cluster that loses all its vectors moves
to the vector with the largest error. With many codes the seeds are drawn in rounds, as in k-means|| (Bahmani et al.,
2012, arXiv:1203.6402).
"""

import torch

from ..float64 import finest_dtype
from .nearest import nearest_codes

MAX_DRAWN_SINGLY = 4096  # codes; with more, one draw for each would take longer than all of Lloyd's iterations


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


def _seed_in_rounds(vectors: torch.Tensor, num_codes: int, generator: torch.Generator) -> torch.Tensor:
    """Like `_seed`, but each round draws an eighth as many centres as there are, without replacement."""
    first = torch.randint(len(vectors), (1,), generator=generator, device=vectors.device)
    chosen = [first]
    distances = (vectors - vectors[first]).square().sum(dim=1)
    dtype, found = finest_dtype(vectors.device), 1
    while found < num_codes:
        # The smallest of exponential variables with these rates (Efraimidis and Spirakis, 2006).
        times = torch.empty_like(distances, dtype=dtype).exponential_(generator=generator) / distances
        times[torch.cat(chosen)] = torch.inf
        drawn = times.topk(min(max(1, found // 8), num_codes - found), largest=False).indices
        new = vectors[drawn]
        distances = torch.minimum(distances, (vectors - new[nearest_codes(vectors, new)]).square().sum(dim=1))
        chosen.append(drawn)
        found += len(drawn)
    return vectors[torch.cat(chosen)]


@torch.no_grad()
def kmeans(vectors: torch.Tensor, num_codes: int, num_iterations: int = 10, seed: int = 0) -> torch.Tensor:
    """Return `num_codes` centres of `vectors`.

    Args:
        vectors: (N, D); N at least `num_codes`, better 16 times as many. As many as codes are the centres themselves if
            these are more than `MAX_DRAWN_SINGLY`.
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
    if num_codes > MAX_DRAWN_SINGLY and len(vectors) == num_codes:
        return vectors.clone()
    seed_centres = _seed if num_codes <= MAX_DRAWN_SINGLY else _seed_in_rounds
    centres = seed_centres(vectors, num_codes, generator)
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
