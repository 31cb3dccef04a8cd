"""Finite scalar quantization against the paper's formula in float64, and its index against itertools."""

import itertools
import math

import pytest
import torch

from smoke_vq.quantizers import FiniteScalarQuantizer

LEVELS = [[8, 8, 4, 4], [4, 4, 4, 4, 4], [8, 5, 5, 5], [3, 2, 7]]


def numbers(levels: list[int], scale: float = 1.0) -> torch.Tensor:
    """(4, d, 32, 32) from a normal distribution, as float32."""
    return scale * torch.randn(4, len(levels), 32, 32, generator=torch.Generator().manual_seed(0))


def formula(z: torch.Tensor, levels: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """What is rounded, and the normalized codes with a straight-through gradient, of z (B, d, h, w) in float64."""
    bounded, codes = [], []
    for channel, count in zip(z.unbind(dim=1), levels, strict=True):
        h, o = (count - 1) * (1 - 1e-3) / 2, 0.5 if count % 2 == 0 else 0.0
        value = torch.tanh(channel + math.tan(o / h)) * h - o
        bounded.append(value)
        codes.append((value + (value.round() - value).detach()) / (count // 2))
    return torch.stack(bounded, dim=1), torch.stack(codes, dim=1)


@pytest.mark.parametrize("scale", [0.3, 1.0, 30.0])
@pytest.mark.parametrize("levels", LEVELS, ids=str)
def test_codes_and_gradients_equal_the_formula(levels, scale):
    latents = numbers(levels, scale).requires_grad_()
    pull = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    quantized = FiniteScalarQuantizer(math.prod(levels), len(levels), levels=levels)(latents).quantized
    (pull * quantized).sum().backward()

    z = latents.detach().double().requires_grad_()
    bounded, codes = formula(z, levels)
    (pull * codes).sum().backward()
    clear = (bounded - bounded.floor() - 0.5).abs() > 1e-5  # float32 may round the others to the other side
    assert clear.double().mean() > 0.999
    torch.testing.assert_close(quantized.double()[clear], codes[clear], rtol=0, atol=1e-7)
    torch.testing.assert_close(latents.grad.double(), z.grad, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("levels", LEVELS, ids=str)
def test_indices_are_digits_and_the_first_varies_fastest(levels):
    quantizer = FiniteScalarQuantizer(math.prod(levels), len(levels), levels=levels)
    found = quantizer.embed(torch.arange(math.prod(levels)).view(1, 1, -1))[0, :, 0].t()
    digits = itertools.product(*(range(-(count // 2), count - count // 2) for count in reversed(levels)))
    halves = torch.tensor([count // 2 for count in levels])
    assert torch.equal(found, torch.tensor([code[::-1] for code in digits]) / halves)
    assert found.min() == -1 and found.max() <= 1


@pytest.mark.parametrize("levels", LEVELS, ids=str)
def test_every_code_is_reached(levels):
    """Also the outermost levels, and none outside of them: the bound ends between their rounding thresholds."""
    quantizer = FiniteScalarQuantizer(math.prod(levels), len(levels), levels=levels)
    ends = torch.tensor([float("-inf"), -100.0, -10.0, 10.0, 100.0, float("inf"), float("nan")])
    digits = quantizer(ends.view(1, 1, 1, -1).expand(1, len(levels), 1, -1)).indices.flatten()
    assert digits[:6].tolist() == [0, 0, 0, *[math.prod(levels) - 1] * 3]
    assert 0 <= digits[6] < math.prod(levels)
    grid = torch.linspace(-4, 4, 400)
    for axis, count in enumerate(levels):
        latents = torch.zeros(1, len(levels), 1, 400)
        latents[0, axis, 0] = grid
        assert len(quantizer(latents).indices.unique()) == count


def test_the_authors_example():
    """(0.25, 0.6, -7) with levels 3, 5, 4 is the code (0, 0.5, -1)."""
    output = FiniteScalarQuantizer(60, 3, levels=[3, 5, 4])(torch.tensor([0.25, 0.6, -7.0]).view(1, 3, 1, 1))
    assert output.quantized.flatten().tolist() == [0, 0.5, -1]
    assert output.indices.item() == 1 + 3 * 3
    assert output.losses is None


def test_in_bf16_the_codes_are_those_of_float32():
    levels = [8, 8, 4, 4]
    quantizer = FiniteScalarQuantizer(1024, 4, levels=levels)
    latents = numbers(levels).bfloat16()
    expected = quantizer(latents.float())
    output = quantizer.to(torch.bfloat16)(latents)
    assert output.quantized.dtype == torch.bfloat16
    assert torch.equal(output.indices, expected.indices)
    assert torch.equal(quantizer.embed(output.indices), expected.quantized)


@pytest.mark.parametrize(
    ("levels", "found"),
    [
        ([8, 5, 5, 5], r"product 1024.*found \[8, 5, 5, 5\] with the product 1000"),
        ([], r"found \[\] with the product 1"),
        ([1024, 1], r"of 2 or more .*found \[1024, 1\]\."),
        ([8.0, 8, 4, 4], r"whole numbers.*found \[8.0, 8, 4, 4\]\."),
        ([True, 1024], r"found \[True, 1024\]"),
        ("8844", "found '8844'"),
        (1024, "found 1024"),
        (None, "found None"),
    ],
)
def test_refuses_other_levels(levels, found):
    with pytest.raises(ValueError, match=found):
        FiniteScalarQuantizer(1024, 8, levels=levels)
