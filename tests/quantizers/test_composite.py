"""Residual and grouped quantizers over every other quantizer of the table, and over each other."""

import pytest
import torch

from smoke_vq.quantizers import QUANTIZERS, make_quantizer

CODE_DIM = 8
COUNTS = {"residual": "depth", "grouped": "num_groups"}
# Inner quantizers that need keyword arguments or have options: name, number of codes, and those.
ROWS: dict[str, tuple[str, int, dict]] = {
    "fsq": ("fsq", 64, {"levels": [4, 4, 4]}),
    "vq, all options": ("vq", 64, {"gradient": "rotation", "cosine": True, "search_dim": 2}),
}
INNER = sorted({*QUANTIZERS, *ROWS} - set(COUNTS))


def inner_of(row: str) -> tuple[str, int, dict]:
    return ROWS.get(row, (row, 64, {}))


def make(name: str, row: str, count: int):
    inner, num_codes, kwargs = inner_of(row)
    torch.manual_seed(0)
    return make_quantizer(name, num_codes, CODE_DIM, {"quantizer": inner, COUNTS[name]: count, "kwargs": kwargs})


@pytest.fixture
def latents():
    return torch.randn(2, CODE_DIM, 4, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("inner", INNER)
def test_alone_it_is_the_inner_quantizer_to_the_last_bit(name, inner, latents):
    quantizer = make(name, inner, 1)
    torch.manual_seed(0)
    row, num_codes, kwargs = inner_of(inner)
    other = make_quantizer(row, num_codes, CODE_DIM, kwargs)
    assert quantizer.depth == 1 and quantizer.default_loss_weights == other.default_loss_weights
    found = []
    for one in (quantizer, other):
        latents.grad = None
        output = one(latents)
        (output.quantized.square().sum() + sum((output.losses or {}).values())).backward()
        gradients = [parameter.grad for parameter in one.parameters() if parameter.requires_grad]
        found.append([output.quantized, output.indices, *(output.losses or {}).values(), latents.grad, *gradients])
        found[-1].append(one.embed(output.indices))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*found, strict=True))


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("count", [2, 4])
def test_decoding_equals_forward_over_every_quantizer(name, inner, count, latents):
    quantizer = make(name, inner, count)
    output = quantizer(latents)
    assert output.indices.shape == (2, 4, 6, count) and quantizer.depth == count
    assert torch.equal(quantizer.embed(output.indices), output.quantized)
    assert quantizer.embed(output.indices).stride() == output.quantized.stride()  # convolutions depend on it
    for leaf, own_latents, own_indices in quantizer.leaves(latents, output.indices):
        assert torch.equal(leaf(own_latents).indices, own_indices)
    half = quantizer(latents.bfloat16())
    assert torch.equal(quantizer.embed(half.indices).bfloat16(), half.quantized)
    output.quantized.square().sum().backward()
    assert latents.grad.isfinite().all() and latents.grad.abs().sum() > 0


RESIDUAL = {"quantizer": "residual", "kwargs": {"depth": 3}}
GROUPED = {"quantizer": "grouped", "kwargs": {"num_groups": 2}}


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("residual", {"depth": 2, **RESIDUAL}),
        ("grouped", {"num_groups": 2, **RESIDUAL}),  # as in HiFi-Codec
        ("residual", {"depth": 3, **GROUPED}),
        ("grouped", {"num_groups": 2, "quantizer": "residual", "kwargs": {"depth": 1}}),
        ("residual", {"depth": 1, **GROUPED}),
    ],
)
def test_one_within_another(name, kwargs, latents):
    torch.manual_seed(0)
    quantizer = make_quantizer(name, 16, CODE_DIM, kwargs)
    leaves = list(quantizer.leaves(latents))
    output = quantizer(latents)
    assert len(leaves) == quantizer.depth == output.indices.shape[3]
    assert torch.equal(quantizer.embed(output.indices), output.quantized)
    for place, (leaf, own_latents, own_indices) in enumerate(quantizer.leaves(latents, output.indices)):
        assert torch.equal(own_indices, output.indices[..., place])
        assert torch.equal(leaf(own_latents).indices, own_indices)
    output.quantized.sum().backward()
    assert torch.equal(latents.grad, torch.ones_like(latents))


def test_a_residual_of_residuals_is_one_with_more_levels(latents):
    nested = make_quantizer("residual", 16, CODE_DIM, {"depth": 2, "quantizer": "residual"})
    flat = make_quantizer("residual", 16, CODE_DIM, {"depth": 4})
    for part, (leaf, _, _) in zip(flat.parts, nested.leaves(latents), strict=True):
        part.load_state_dict(leaf.state_dict())
    assert torch.equal(nested(latents).indices, flat(latents).indices)
    torch.testing.assert_close(nested(latents).quantized, flat(latents).quantized)
