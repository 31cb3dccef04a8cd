"""The order of the frames in an epoch, a pure function of (seed, epoch): of one dataset, and of a weighted mix."""

from collections.abc import Sequence
from fractions import Fraction

import torch


def permutation(length: int, seed: int, epoch: int, stream: int = 0) -> torch.Tensor:
    """(length,) int64, another one for each seed, epoch and stream."""
    key = (seed * 1_000_003 + epoch + stream * 0x9E3779B97F4A7C15) % (1 << 63)
    return torch.randperm(length, generator=torch.Generator().manual_seed(key))


def mixed_order(lengths: Sequence[int], weights: Sequence[float], seed: int, epoch: int) -> torch.Tensor:
    """The rows of an epoch over datasets whose rows are numbered one behind the other: (sum(lengths),) int64.

    Dataset i gives the same number of rows to every epoch, its share by weight. The epochs take them, one after the
    other, from an endless sequence of permutations of the dataset: position p is entry p % length of permutation
    p // length. At no point has a frame been drawn more than once oftener than another of its dataset. The rows of all
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


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in the proportions of `weights` that add up to `total`, by the largest remainder."""
    weights = [Fraction(weight) for weight in weights]
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
