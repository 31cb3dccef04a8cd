"""Codebook usage against closed forms."""

import math

import pytest
import torch

from smoke_vq.metrics import Batch, CodebookUsage, expected_usage


def measure(num_codes: int, *batches: torch.Tensor) -> dict[str, float]:
    usage, frames = CodebookUsage(), torch.zeros(1, 3, 8, 8)
    for indices in batches:
        usage.update(Batch(frames, frames, indices=indices, num_codes=num_codes))
    return usage.compute()


def test_uniform_use_has_a_perplexity_of_k():
    result = measure(64, torch.arange(64).repeat(3).view(3, 8, 8))
    assert result == {
        "num_codes_used": 64,
        "codebook_usage": 1.0,
        "perplexity": pytest.approx(64),
        "num_tokens": 192,
    }


def test_a_single_code_has_a_perplexity_of_1():
    result = measure(1024, torch.full((2, 8, 8), 7))
    assert (result["num_codes_used"], result["codebook_usage"]) == (1, 1 / 1024)
    assert result["perplexity"] == pytest.approx(1)


def test_perplexity_is_the_exponential_of_the_entropy():
    result = measure(10, torch.tensor([0, 0, 1, 2]))
    assert result["perplexity"] == pytest.approx(math.exp(0.5 * math.log(2) + 0.5 * math.log(4)))
    assert result["num_codes_used"] == 3


def test_each_code_of_a_position_has_a_codebook_of_its_own():
    first, second = torch.arange(64).view(1, 8, 8), torch.arange(64).view(1, 8, 8) % 4
    result = measure(64, torch.stack([first, second], dim=3))
    assert result == {
        "num_codes_used": 64 + 4,
        "codebook_usage": 68 / 128,
        "perplexity": pytest.approx(math.exp((math.log(64) + math.log(4)) / 2)),
        "num_tokens": 128,
    }
    assert measure(64, first[..., None]) == measure(64, first)


def test_batches_add_up():
    indices = torch.randint(100, (6, 8, 8), generator=torch.Generator().manual_seed(0))
    assert measure(100, *indices.split(4)) == measure(100, indices)
    levels = indices.view(6, 4, 4, 4)
    assert measure(100, *levels.split(4)) == measure(100, levels)


def test_a_model_without_codes_has_no_figures():
    usage, frames = CodebookUsage(), torch.zeros(1, 3, 8, 8)
    usage.update(Batch(frames, frames))
    assert usage.compute() == {}


@pytest.mark.parametrize(("num_tokens", "usage"), [(1024, 0.63), (2048, 0.87)])
def test_expected_usage_of_uniform_codes(num_tokens, usage):
    assert expected_usage(1024, num_tokens) == pytest.approx(usage, abs=0.006)
    drawn = torch.randint(1024, (50, num_tokens), generator=torch.Generator().manual_seed(0))
    measured = sum(measure(1024, row)["codebook_usage"] for row in drawn) / 50
    assert expected_usage(1024, num_tokens) == pytest.approx(measured, abs=0.005)
