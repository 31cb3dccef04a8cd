"""Randomness as a pure function of (seed, epoch): the order of the frames in an epoch, and a hash for each row."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio
MASK64 = (1 << 64) - 1


def permutation(length: int, seed: int, epoch: int, stream: int = 0) -> torch.Tensor:
    """(length,) int64, a different one for each seed, epoch and stream."""
    key = (seed * 1_000_003 + epoch + stream * GOLDEN) % (1 << 63)
    return torch.randperm(length, generator=torch.Generator().manual_seed(key))


def mixed_order(lengths: Sequence[int], weights: Sequence[float], seed: int, epoch: int) -> torch.Tensor:
    """The order of an epoch over several datasets whose rows are numbered consecutively: (sum(lengths),) int64.

    Dataset i has the same number of rows in every epoch, its share by weight. Over all epochs these rows form an
    endless sequence of permutations of the dataset: position p is entry p % length of permutation p // length. So at
    any point the frames of a dataset have been drawn equally often, or some of them once more. The rows of all
    datasets are then shuffled together.
    """
    rows, first = [], 0
    for index, (length, count) in enumerate(zip(lengths, shares(sum(lengths), weights), strict=True)):
        start, stop = epoch * count, (epoch + 1) * count
        numbers = range(start // length, -(-stop // length))
        sequence = torch.cat([permutation(length, seed, number, stream=1 + index) for number in numbers])
        skipped = start - numbers.start * length
        rows.append(first + sequence[skipped : skipped + count])
        first += length
    return torch.cat(rows)[permutation(sum(lengths), seed, epoch)]


def proportional_order(weights: torch.Tensor, seed: int, epoch: int) -> torch.Tensor:
    """The order of an epoch that draws row i about `N w_i / sum(w)` times, rounded up or down: (N,) int64.

    Systematic sampling: the draws are evenly spaced on the cumulative weights, from an offset that differs by epoch, so
    that rows that are drawn less than once an epoch take turns.

    Args:
        weights: (N,) float64, not negative, not all 0.
    """
    count = len(weights)
    shuffled = permutation(count, seed, 0, stream=-1)  # neighbours of one clip do not share a draw
    ends = weights[shuffled].cumsum(dim=0) / weights.sum() * count
    generator = torch.Generator().manual_seed((seed * 1_000_003 + GOLDEN) % (1 << 63))
    offset = (torch.rand((), generator=generator, dtype=torch.float64).item() + epoch * (5**0.5 - 1) / 2) % 1
    places = torch.arange(count, dtype=torch.float64) + offset
    drawn = torch.searchsorted(ends, places, right=True).clamp(max=count - 1)
    return shuffled[drawn][permutation(count, seed, epoch)]


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in the proportions of `weights` that add up to `total`, by the largest remainder."""
    weights = [Fraction(weight) for weight in weights]
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts


def coin_flips(seed: int, epoch: int, rows: torch.Tensor) -> torch.Tensor:
    """A fair coin for each (seed, epoch, row), as bool: the top bit of its hash."""
    return torch.from_numpy((_hash(seed, epoch, rows) >> np.uint64(63)).astype(bool)).to(rows.device)


def draws(seed: int, epoch: int, rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """A uniform whole number in [0, counts) for each (seed, epoch, row), as int64; independent of the coins."""
    hashes = _hash(seed, epoch, rows, stream=1) % counts.cpu().numpy().astype(np.uint64)
    return torch.from_numpy(hashes.astype(np.int64)).to(rows.device)


def uniforms(seed: int, epoch: int, rows: torch.Tensor) -> torch.Tensor:
    """A number in [0, 1) for each (seed, epoch, row), as float32 on the CPU; independent of coins and draws."""
    hashes = _hash(seed, epoch, rows, stream=2) >> np.uint64(40)  # as many bits as float32 has
    return torch.from_numpy(hashes.astype(np.float32) / 2**24)


def _hash(seed: int, epoch: int, rows: torch.Tensor, stream: int = 0) -> np.ndarray:
    """uint64, by splitmix64 (Steele et al., 2014)."""
    start = (seed * GOLDEN + epoch * 0xD1B54A32D192ED03 + stream * 0xBF58476D1CE4E5B9) & MASK64
    with np.errstate(over="ignore"):
        x = rows.cpu().numpy().astype(np.uint64) * np.uint64(GOLDEN) + np.uint64(start)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
