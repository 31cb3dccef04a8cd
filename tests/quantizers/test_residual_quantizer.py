"""Residual quantization against EnCodec's in transformers and against autograd of the formulas in float64."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from transformers.models.encodec.modeling_encodec import EncodecResidualVectorQuantizer

from smoke_vq.quantizers import ResidualQuantizer, make_quantizer

K, D, DEPTH = 32, 8, 3


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(K, D, depth=DEPTH)
    for level, part in enumerate(quantizer.parts):
        part.codebook.data.normal_().div_(2**level)
    return quantizer


@pytest.fixture
def latents():
    return torch.randn(2, D, 4, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)


def test_agrees_with_encodec(quantizer, latents):
    theirs = EncodecResidualVectorQuantizer(
        SimpleNamespace(codebook_size=K, codebook_dim=D, frame_rate=1, num_quantizers=DEPTH)
    )
    for layer, part in zip(theirs.layers, quantizer.parts, strict=True):
        layer.codebook.embed = part.codebook.detach()
    output = quantizer(latents)
    codes = theirs.encode(latents.detach().flatten(2))  # (depth, B, h w)
    assert torch.equal(output.indices, codes.permute(1, 2, 0).view(2, 4, 6, DEPTH))
    assert torch.equal(output.quantized, theirs.decode(codes).view(2, D, 4, 6))


def in_float64(quantizer, latents: torch.Tensor) -> tuple[torch.Tensor, list, list, torch.Tensor, torch.Tensor]:
    """Latents and codebooks that need a gradient; the codes of each level; both losses by eq. 8 of RQ-VAE."""
    z = latents.detach().double().requires_grad_()
    codebooks = [part.codebook.detach().double().requires_grad_() for part in quantizer.parts]
    vectors, residual, codes = z.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1).detach(), []
    commitment = codebook_loss = 0
    for codebook in codebooks:
        nearest = (residual[..., None, :] - codebook.detach()).square().sum(-1).argmin(-1)
        codes.append(codebook[nearest])
        codebook_loss = codebook_loss + (residual - codes[-1]).square().mean() / DEPTH
        residual = residual - codes[-1].detach()
        commitment = commitment + (vectors - sum(codes).detach()).square().mean() / DEPTH
    return z, codebooks, codes, commitment, codebook_loss


def test_losses_and_gradients_equal_the_formula(quantizer, latents):
    pull = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    output = quantizer(latents)
    (pull * output.quantized).sum().add(0.1 * output.losses["commitment"] + output.losses["codebook"]).backward()
    z, codebooks, codes, commitment, codebook_loss = in_float64(quantizer, latents)
    total = sum(codes).permute(0, 3, 1, 2)
    straight_through = z + (total - z).detach()
    (pull * straight_through).sum().add(0.1 * commitment + codebook_loss).backward()
    close = {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(output.quantized.double(), total, **close)
    torch.testing.assert_close(output.losses["commitment"].double(), commitment, **close)
    torch.testing.assert_close(output.losses["codebook"].double(), codebook_loss, **close)
    torch.testing.assert_close(latents.grad.double(), z.grad, **close)
    for part, codebook in zip(quantizer.parts, codebooks, strict=True):
        torch.testing.assert_close(part.codebook.grad.double(), codebook.grad, **close)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_straight_through_passes_the_gradient_once_whatever_the_depth(latents, depth):
    """With a sum over levels, as in vector-quantize-pytorch, the latents would receive `depth` times the gradient."""
    gradient = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    ResidualQuantizer(K, D, depth=depth)(latents).quantized.backward(gradient)
    assert torch.equal(latents.grad, gradient)


def test_a_codebook_loss_moves_only_its_own_level(quantizer, latents):
    for level, part in enumerate(quantizer.parts):
        quantizer.zero_grad()
        residual = list(quantizer.leaves(latents))[level][1]
        part(residual.detach()).losses["codebook"].backward()
        alone = part.codebook.grad.clone()
        quantizer.zero_grad()
        quantizer(latents).losses["codebook"].backward()
        torch.testing.assert_close(part.codebook.grad, alone / DEPTH)


def test_signs_with_a_scale_are_a_binary_expansion():
    """z = s_0 + s_1 / 2 + s_2 / 4 + ..., so that the error is at most 2^-(depth - 1)."""
    quantizer = ResidualQuantizer(2, 1, quantizer="lfq", depth=8, scale=0.5)
    latents = torch.linspace(-2, 2, 1001).view(1, 1, 1, -1)
    output = quantizer(latents)
    assert (output.quantized - latents).abs().max() <= 2**-7
    signs = 2.0 * output.indices - 1
    assert torch.equal(output.quantized[0, 0], (signs * 0.5 ** torch.arange(8)).sum(-1)[0])
    assert torch.equal(quantizer.embed(output.indices), output.quantized)


@pytest.mark.parametrize(
    ("name", "num_codes", "kwargs"),
    [("fsq", 64, {"levels": [4, 4, 4]}), ("fsq", 512, {"levels": [8, 8, 8]}), ("lfq", 8, {}), ("bsq", 8, {})],
)
def test_with_a_scale_each_level_of_fixed_codes_lowers_the_error(name, num_codes, kwargs):
    latents = 0.4 * torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def error(depth: int, scale: float) -> float:
        quantizer = ResidualQuantizer(num_codes, 3, quantizer=name, depth=depth, kwargs=kwargs, scale=scale)
        return float((quantizer(latents).quantized - latents).square().mean())

    errors = [error(depth, 0.5) for depth in (1, 2, 3, 4)]
    assert all(after < 0.5 * before for before, after in pairwise(errors)), errors
    assert errors[3] < 0.1 * error(4, 1.0)  # without it the deeper levels do next to nothing


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"depth": 0}, "depth expects a whole number of 1 or more, found 0"),
        ({"depth": True}, "depth expects a whole number of 1 or more, found True"),
        ({"depth": 2.0}, "depth expects a whole number of 1 or more, found 2.0"),
        ({"scale": 0}, "scale expects a finite number above 0, found 0"),
        ({"scale": "half"}, "scale expects a finite number above 0, found 'half'"),
        ({"quantizer": "fqs"}, r"Unknown quantizer 'fqs': expected one of \["),
        ({"kwargs": {"level": 2}}, r"The quantizer_kwargs \{'level': 2\} do not fit quantizer 'vq'"),
        ({"kwargs": 3}, "quantizer_kwargs expects a mapping of keyword arguments, found 3"),
        ({"levels": 3}, r"'levels'; it takes \['quantizer', 'depth', 'kwargs', 'scale'\]"),
    ],
)
def test_refuses(kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_quantizer("residual", K, D, kwargs)
