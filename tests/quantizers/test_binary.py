"""LFQ and BSQ against autograd of their papers' formulas in float64."""

import math

import pytest
import torch

from smoke_vq.quantizers import BinarySphericalQuantizer, LookupFreeQuantizer, make_quantizer

BITS = 6
CLASSES = {"lfq": LookupFreeQuantizer, "bsq": BinarySphericalQuantizer}


@pytest.fixture
def latents():
    return torch.randn(3, BITS, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)


def formula(name: str, z: torch.Tensor, temperature: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Quantized latents and losses of z (B, d, h, w), with a softmax over all codes."""
    scale = 1.0
    if name == "bsq":
        z, scale = z / z.square().sum(dim=1, keepdim=True).sqrt(), BITS**-0.5
    sign = 1 - 2 * (z <= 0).to(z)
    quantized = scale * (z + (sign - z).detach())
    codes = scale * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).to(z)] * BITS)
    probabilities = (2 * z.permute(0, 2, 3, 1).flatten(0, 2) @ codes.t() / temperature).softmax(dim=1)
    mean = probabilities.mean(dim=0)
    losses = {
        "commitment": (z - quantized.detach()).square().mean(),
        "sample_entropy": torch.special.entr(probabilities).sum(dim=1).mean(),
        "imbalance": (mean * (mean * 2**BITS).log()).sum(),
    }
    return quantized, losses


@pytest.mark.parametrize("temperature", [0.5, 3.0])
@pytest.mark.parametrize("name", CLASSES)
def test_losses_and_gradients_equal_the_formula(name, latents, temperature):
    pull = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    output = make_quantizer(name, 2**BITS, BITS, {"temperature": temperature})(latents)
    z = latents.detach().double().requires_grad_()
    quantized, losses = formula(name, z, temperature)
    torch.testing.assert_close(output.quantized.double(), quantized, rtol=1e-6, atol=1e-6)
    assert output.losses.keys() == losses.keys()
    for part in ["quantized", *losses]:
        ours, theirs = (
            ((pull * output.quantized).sum(), (pull * quantized).sum())
            if part == "quantized"
            else (output.losses[part], losses[part])
        )
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-6)
        (gradient,) = torch.autograd.grad(ours, [latents], retain_graph=True)
        (expected,) = torch.autograd.grad(theirs, [z], retain_graph=True)
        largest = float(expected.abs().max())
        torch.testing.assert_close(gradient.double(), expected, rtol=0, atol=max(1e-6 * largest, 1e-9))


@pytest.mark.parametrize(("name", "size"), [("lfq", 1.0), ("bsq", BITS**-0.5)])
def test_codes_are_the_signs_and_indices_their_bits(name, size, latents):
    output = make_quantizer(name, 2**BITS, BITS)(latents)
    positive = latents.detach() > 0
    assert torch.equal(output.quantized, torch.where(positive, size, -size))
    bits = "".join(str(int(bit)) for bit in reversed(positive[1, :, 2, 3]))
    assert output.indices[1, 2, 3] == int(bits, base=2)


@pytest.mark.parametrize("name", CLASSES)
def test_zero_counts_as_negative_and_its_gradient_is_finite(name):
    latents = torch.zeros(1, BITS, 1, 2, requires_grad=True)
    output = make_quantizer(name, 2**BITS, BITS)(latents)
    assert output.indices.unique().tolist() == [0]
    (output.quantized.sum() + sum(output.losses.values())).backward()
    assert latents.grad.isfinite().all()


def test_bsq_does_not_depend_on_the_length_of_latents(latents):
    """Beyond rounding; `bound`: no code is further away than sqrt(2 - 2 / sqrt(d)) (section 3 of the paper)."""
    quantizer = make_quantizer("bsq", 2**BITS, BITS)
    near, far = quantizer(latents), quantizer(1e3 * latents)
    assert torch.equal(near.indices, far.indices) and torch.equal(near.quantized, far.quantized)
    for name in near.losses:
        torch.testing.assert_close(near.losses[name], far.losses[name])
    unit = torch.nn.functional.normalize(latents.detach(), dim=1)
    assert (unit - near.quantized).norm(dim=1).max() <= math.sqrt(2 - 2 / math.sqrt(BITS)) + 1e-6
    torch.testing.assert_close(near.quantized.norm(dim=1), torch.ones(3, 8, 8))


@pytest.mark.parametrize("loss", ["sample_entropy", "imbalance"])
@pytest.mark.parametrize("name", CLASSES)
def test_latents_that_share_a_code_become_confident_or_spread_over_all(name, loss):
    torch.manual_seed(0)
    latents = (0.1 * torch.randn(1, 4, 16, 16) + 0.3).requires_grad_()
    quantizer = make_quantizer(name, 16, 4, {"temperature": 0.5})
    first = quantizer(latents)
    optimizer = torch.optim.Adam([latents], lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        quantizer(latents).losses[loss].backward()
        optimizer.step()
    last = quantizer(latents)
    assert first.indices.unique().numel() < 8
    assert last.losses[loss] < (0.5 if loss == "imbalance" else 1) * first.losses[loss]
    assert (last.indices.unique().numel() == 16) == (loss == "imbalance")


@pytest.mark.parametrize("name", CLASSES)
def test_in_bf16_codes_and_losses_are_those_of_float32(name, latents):
    quantizer = make_quantizer(name, 2**BITS, BITS)
    latents = latents.detach().bfloat16()
    expected = quantizer(latents.float())
    output = quantizer.to(torch.bfloat16)(latents)
    assert output.quantized.dtype == torch.bfloat16
    assert torch.equal(output.indices, expected.indices)
    assert torch.equal(quantizer.embed(output.indices), expected.quantized)
    for loss in expected.losses:
        assert torch.equal(output.losses[loss], expected.losses[loss])


@pytest.mark.parametrize("name", CLASSES)
def test_many_codes(name):
    """2^18 codes without a table of them."""
    quantizer = make_quantizer(name, 2**18, 32)
    output = quantizer(torch.randn(2, 32, 8, 8))
    assert output.indices.max() > 2**16
    assert torch.equal(quantizer.embed(output.indices), output.quantized)


@pytest.mark.parametrize(
    ("num_codes", "kwargs", "said"),
    [
        (1000, {}, "Quantizer expects a power of 2 as the number of codes, found 1000"),
        (64, {"temperature": 0}, "temperature expects a finite number above 0, found 0"),
        (64, {"temperature": float("nan")}, "found nan"),
        (64, {"temperature": "0.1"}, "found '0.1'"),
        (64, {"temperature": True}, "found True"),
        (64, {"group_bits": 0}, "group_bits expects a whole number of 1 or more, found 0"),
        (64, {"group_bits": 2.0}, "found 2.0"),
    ],
)
@pytest.mark.parametrize("name", CLASSES)
def test_refuses_other_values(name, num_codes, kwargs, said):
    with pytest.raises(ValueError, match=said):
        make_quantizer(name, num_codes, 8, kwargs)
