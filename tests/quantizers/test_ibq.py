"""Index backpropagation quantization against autograd of the paper's formula in float64."""

import pytest
import torch

from smoke_vq.quantizers import IndexBackpropagationQuantizer

K, D, TEMPERATURE = 32, 8, 0.7


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    return IndexBackpropagationQuantizer(K, D, temperature=TEMPERATURE)


@pytest.fixture
def latents():
    return 0.5 * torch.randn(2, D, 4, 6, generator=torch.Generator().manual_seed(1))


def formula(z: torch.Tensor, table: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Codes (N, D) and losses of z (N, D)."""
    logits = z @ table.t()
    p = logits.softmax(dim=1)
    hard = torch.nn.functional.one_hot(logits.argmax(dim=1), K).to(z)
    q, looked_up = (hard + p - p.detach()) @ table, hard @ table
    soft = (logits / TEMPERATURE).softmax(dim=1)
    mean = soft.mean(dim=0)
    losses = {
        "quantization": (q - z).square().mean(),
        "commitment": (looked_up.detach() - z).square().mean(),
        "codebook": (looked_up - z.detach()).square().mean(),
        "sample_entropy": torch.special.entr(soft).sum(dim=1).mean(),
        "imbalance": (mean * (mean * K).log()).sum(),
    }
    return q, losses


def test_losses_and_gradients_equal_the_formula(quantizer, latents):
    latents.requires_grad_()
    pull = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    output = quantizer(latents)
    z, table = (tensor.detach().double().requires_grad_() for tensor in (latents, quantizer.table))
    q, losses = formula(z.permute(0, 2, 3, 1).flatten(0, 2), table)
    q = q.view(2, 4, 6, D).permute(0, 3, 1, 2)
    torch.testing.assert_close(output.quantized.double(), q, rtol=1e-6, atol=1e-6)
    assert output.losses.keys() == losses.keys()
    for part in ["quantized", *losses]:
        ours, theirs = (
            ((pull * output.quantized).sum(), (pull * q).sum())
            if part == "quantized"
            else (output.losses[part], losses[part])
        )
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-6)
        found = torch.autograd.grad(ours, [latents, quantizer.table], retain_graph=True, allow_unused=True)
        expected = torch.autograd.grad(theirs, [z, table], retain_graph=True, allow_unused=True)
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-6 * float(other.abs().max()))


def test_every_code_has_a_gradient(quantizer, latents):
    """Also the codes that are not chosen, unlike in `vq`: therefore it needs no revival."""
    output = quantizer(latents)
    assert output.indices.unique().numel() < K
    output.quantized.square().sum().backward()
    assert (quantizer.table.grad.abs().sum(dim=1) > 0).all()


def test_the_code_with_the_largest_dot_product_is_chosen(quantizer, latents):
    rows = latents.double().permute(0, 2, 3, 1).flatten(0, 2)
    expected = (rows @ quantizer.table.detach().double().t()).argmax(dim=1)
    assert torch.equal(quantizer(latents).indices.flatten(), expected)
    assert quantizer.codebook is None and quantizer.codes().shape == (K, D)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_forward_returns_the_codes_themselves(quantizer, latents, scale):
    """`(onehot + p) - sg(p)` would have a rounding error, unlike `(onehot - sg(p)) + p`."""
    output = quantizer((scale * latents).requires_grad_())
    assert torch.equal(output.quantized, quantizer.table[output.indices].permute(0, 3, 1, 2))
    (output.quantized.sum() + sum(output.losses.values())).backward()
    assert quantizer.table.grad.isfinite().all()


def test_in_bf16_the_codes_are_those_of_float32(quantizer, latents):
    quantizer, latents = quantizer.to(torch.bfloat16), latents.bfloat16()
    output = quantizer(latents)
    rows = latents.double().permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.equal(output.indices.flatten(), (rows @ quantizer.table.detach().double().t()).argmax(dim=1))
    assert output.quantized.dtype == torch.bfloat16


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), "1", None])
def test_refuses_other_temperatures(temperature):
    with pytest.raises(ValueError, match=f"temperature expects a finite number above 0, found {temperature!r}"):
        IndexBackpropagationQuantizer(K, D, temperature=temperature)
