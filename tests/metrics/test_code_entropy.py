"""The entropy of codes against closed forms and scipy."""

import math

import pytest
import scipy.stats
import torch

from smoke_vq.metrics import Batch, CodebookUsage, CodeEntropy
from smoke_vq.metrics.metric import Metric


def measure(
    indices: torch.Tensor, num_codes: int, mask: torch.Tensor | None = None, metric: type[Metric] = CodeEntropy
):
    measured, frames = metric(), torch.zeros(len(indices), 3, 16, 16)
    masks = [None] * len(indices) if mask is None else mask.split(2)
    for part, part_mask in zip(indices.split(2), masks, strict=False):
        measured.update(Batch(frames[: len(part)], frames[: len(part)], part_mask, indices=part, num_codes=num_codes))
    return measured.compute()


def drawn(*shape: int, num_codes: int = 32, seed: int = 0) -> torch.Tensor:
    """Codes that are not equally frequent."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).square().mul(num_codes).long()


def test_uniform_codes_take_log2_k_bits_each():
    assert measure(torch.arange(64).view(1, 8, 8).repeat(3, 1, 1), 64) == {"entropy_bits": pytest.approx(64 * 6)}


def test_the_bits_are_those_of_scipys_entropy():
    indices = drawn(5, 8, 8)
    found = measure(indices, 32)["entropy_bits"]
    assert found == pytest.approx(64 * scipy.stats.entropy(torch.bincount(indices.flatten()).numpy(), base=2))
    assert found < 64 * 5


def test_with_smoke_everywhere_the_perplexity_is_that_of_all_tokens():
    indices = drawn(4, 8, 8)
    found = measure(indices, 32, torch.ones(4, 1, 16, 16))
    assert found["smoke_perplexity"] == pytest.approx(measure(indices, 32, metric=CodebookUsage)["perplexity"])
    assert found["num_smoke_tokens"] == 4 * 64


def test_one_pixel_of_smoke_makes_a_token_of_smoke():
    indices, mask = torch.zeros(1, 8, 8, dtype=torch.int64), torch.zeros(1, 1, 16, 16)
    indices[0, 2:4, 5] = torch.tensor([3, 4])
    mask[0, 0, 5, 10] = mask[0, 0, 6, 11] = 0.05
    mask[0, 0, 15, 15] = 11 / 255  # hardly visible
    found = measure(indices, 32, mask)
    assert found["num_smoke_tokens"] == 2 and found["smoke_perplexity"] == pytest.approx(2)


def test_without_smoke_there_is_no_perplexity():
    found = measure(drawn(2, 8, 8), 32, torch.zeros(2, 1, 16, 16))
    assert found["num_smoke_tokens"] == 0 and set(found) == {"num_smoke_tokens", "entropy_bits"}


def test_levels_are_counted_apart():
    first, second, mask = drawn(4, 8, 8), drawn(4, 8, 8, num_codes=5, seed=1), torch.zeros(4, 1, 16, 16)
    mask[:, :, :, 6:] = 1
    both = measure(torch.stack([first, second], dim=3), 32, mask)
    apart = [measure(level, 32, mask) for level in (first, second)]
    assert both["entropy_bits"] == pytest.approx(sum(one["entropy_bits"] for one in apart))
    assert both["smoke_perplexity"] == pytest.approx(math.prod(one["smoke_perplexity"] for one in apart) ** 0.5)
    assert both["num_smoke_tokens"] == apart[0]["num_smoke_tokens"] == 4 * 8 * 5


def test_a_model_without_codes_has_no_figures():
    metric, frames = CodeEntropy(), torch.zeros(1, 3, 16, 16)
    metric.update(Batch(frames, frames))
    assert metric.compute() == {}
