"""The contract of quantizers (`smoke_vq.quantizers.base`), for each line of the table."""

import copy

import pytest
import torch
from accelerate.utils import convert_outputs_to_fp32
from torch import nn

from smoke_vq.quantizers import QUANTIZERS, Quantizer, QuantizerOutput, VectorQuantizer, make_quantizer
from smoke_vq.registry import choose

NUM_CODES, CODE_DIM = 64, 8
KWARGS: dict[str, dict] = {"fsq": {"levels": [4, 4, 4]}}  # by name, for quantizers with required keyword arguments


OPTIONS: dict[str, tuple[str, dict]] = {  # further rows: quantizers with options that are not the default
    "vq, rotation": ("vq", {"gradient": "rotation"}),
    "vq, cosine": ("vq", {"cosine": True}),
    "vq, in 3 dimensions": ("vq", {"search_dim": 3}),
    "vq, all options": ("vq", {"gradient": "rotation", "cosine": True, "search_dim": 3}),
    "ema, all options": ("ema", {"gradient": "rotation", "cosine": True, "search_dim": 3}),
    "simvq, all options": ("simvq", {"gradient": "rotation", "cosine": True, "search_dim": 3}),
    "residual, rotation": ("residual", {"kwargs": {"gradient": "rotation"}}),
}
NOT_SELF_QUANTIZED = {  # by row: their search does not find a code again that it is given
    "fsq",
    "ibq",
    "residual",
    "residual, rotation",
    "vq, in 3 dimensions",
    "vq, all options",
    "ema, all options",
    "simvq, all options",
}


def make(row: str) -> Quantizer:
    name, kwargs = OPTIONS.get(row, (row, KWARGS.get(row)))
    quantizer = make_quantizer(name, NUM_CODES, CODE_DIM, kwargs)
    quantizer.row = row
    return quantizer


@pytest.fixture(params=sorted([*QUANTIZERS, *OPTIONS]))
def quantizer(request):
    torch.manual_seed(0)
    return make(request.param)


def grid(quantizer: Quantizer, indices: torch.Tensor) -> torch.Tensor:
    """Indices (B, h, w) at each depth, in the shape that the quantizer expects."""
    return indices if quantizer.depth == 1 else indices[..., None].expand(*indices.shape, quantizer.depth)


@pytest.fixture
def latents():
    return torch.randn(2, CODE_DIM, 4, 6, generator=torch.Generator().manual_seed(1))


def test_is_a_quantizer(quantizer):
    assert isinstance(quantizer, Quantizer)
    assert (quantizer.num_codes, quantizer.code_dim) == (NUM_CODES, CODE_DIM)


def test_codebook_is_a_parameter_or_none(quantizer):
    assert "codebook" not in dict(quantizer.named_buffers())
    if quantizer.codebook is not None:
        assert isinstance(quantizer.codebook, nn.Parameter)
        assert quantizer.codebook.shape == quantizer.codes().shape == (NUM_CODES, quantizer.codebook.shape[1])


def test_shapes_and_dtypes(quantizer, latents):
    output = quantizer(latents)
    assert output.quantized.shape == latents.shape
    assert output.indices.shape == ((2, 4, 6) if quantizer.depth == 1 else (2, 4, 6, quantizer.depth))
    assert output.indices.dtype == torch.int64
    assert output.indices.min() >= 0 and output.indices.max() < NUM_CODES


def test_losses_are_named_float32_scalars(quantizer, latents):
    losses = quantizer(latents).losses or {}
    assert tuple(losses) == tuple(quantizer.default_loss_weights)
    for loss in losses.values():
        assert loss.shape == () and loss.dtype == torch.float32 and loss.isfinite()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_keeps_the_dtype_of_the_latents(quantizer, latents, dtype):
    output = quantizer(latents.to(dtype))
    assert output.quantized.dtype == dtype
    assert all(loss.dtype == torch.float32 for loss in (output.losses or {}).values())


def test_gradient_reaches_the_latents(quantizer, latents):
    latents.requires_grad_()
    quantizer(latents).quantized.square().sum().backward()
    assert latents.grad.isfinite().all() and latents.grad.abs().sum() > 0


def test_every_parameter_has_a_gradient(quantizer, latents):
    """Otherwise distributed training waits for it."""
    output = quantizer(latents.requires_grad_())
    sum((output.losses or {}).values(), output.quantized.float().square().sum()).backward()
    assert [name for name, p in quantizer.named_parameters() if p.requires_grad and p.grad is None] == []


def test_embed_of_part_of_the_codes(quantizer, latents):
    """Its bits do not depend on what else is decoded with them."""
    whole, indices = quantizer.embed(quantizer(latents).indices), quantizer(latents).indices
    assert torch.equal(quantizer.embed(indices[1:, 2:, :1]), whole[1:, :, 2:, :1])


def test_embed_equals_forward(quantizer, latents):
    output = quantizer(latents)
    assert torch.equal(quantizer.embed(output.indices), output.quantized)


def test_codes_are_quantized_to_themselves(quantizer):
    if quantizer.row in NOT_SELF_QUANTIZED:
        pytest.skip("not a property of this quantizer")
    indices = grid(quantizer, torch.arange(NUM_CODES).view(1, 8, 8))
    assert torch.equal(quantizer(quantizer.embed(indices)).indices, indices)


def test_autocast_does_not_change_the_codes(quantizer, latents):
    with torch.autocast("cpu", torch.bfloat16):
        output = quantizer(latents)
    assert torch.equal(output.indices, quantizer(latents).indices)
    assert torch.equal(output.quantized, quantizer(latents).quantized)


def test_compiles_without_a_graph_break(quantizer, latents):
    torch._dynamo.reset()  # compilations are counted by function, over all quantizers
    compiled = torch.compile(quantizer, fullgraph=True, backend="aot_eager")
    output = compiled(latents.requires_grad_())
    expected = quantizer(latents)
    assert torch.equal(output.indices, expected.indices) and torch.equal(output.quantized, expected.quantized)
    output.quantized.square().sum().backward()


def test_leaves_receive_their_latents_and_codes(quantizer, latents):
    """A leaf finds its own codes again in the latents that it is given, and the leaves have all codes."""
    indices = quantizer(latents).indices
    leaves = list(quantizer.leaves(latents, indices))
    for (leaf, own_latents, own_indices), (same, computed, _) in zip(leaves, quantizer.leaves(latents), strict=True):
        assert same is leaf and torch.equal(leaf(own_latents).indices, own_indices)
        torch.testing.assert_close(computed, own_latents)
    assert torch.equal(
        torch.cat([own.flatten() for _, _, own in leaves]).sort().values, indices.flatten().sort().values
    )


def test_state_dict_is_complete(quantizer, latents):
    torch.manual_seed(5)
    other = make(quantizer.row)
    other.load_state_dict(copy.deepcopy(quantizer.state_dict()))
    assert torch.equal(other(latents).quantized, quantizer(latents).quantized)


def test_output_survives_mixed_precision(quantizer, latents):
    """Accelerate rebuilds outputs from a dict: a field without a default would raise TypeError."""
    output = convert_outputs_to_fp32(quantizer.forward)(latents.bfloat16())
    assert isinstance(output, QuantizerOutput)
    assert output.quantized.dtype == torch.float32
    assert output.indices.dtype == torch.int64
    assert tuple(output.losses or {}) == tuple(quantizer.default_loss_weights)


@pytest.mark.parametrize(
    ("indices", "sentence"),
    [
        (torch.full((1, 2, 2), NUM_CODES), rf"\[0, {NUM_CODES}\), found {NUM_CODES} to {NUM_CODES}"),
        (torch.full((1, 2, 2), -1), "found -1 to -1"),
        (torch.zeros(2, 2, dtype=torch.long), r"shape \(B, h, w.*\), found torch.int64 \(2, 2\)"),
        (torch.zeros(1, 2, 2), "integer indices.*found torch.float32"),
    ],
    ids=["too large", "negative", "no batch axis", "floats"],
)
def test_embed_refuses_invalid_indices(quantizer, indices, sentence):
    with pytest.raises(ValueError, match=sentence):
        quantizer.embed(grid(quantizer, indices) if indices.ndim == 3 else indices)


@pytest.mark.parametrize("shape", [(1, CODE_DIM + 1, 4, 4), (CODE_DIM, 4, 4)])
def test_forward_refuses_other_shapes(quantizer, shape):
    with pytest.raises(ValueError, match=rf"\(B, {CODE_DIM}, h, w\), found"):
        quantizer(torch.zeros(shape))


@pytest.mark.parametrize("name", sorted(QUANTIZERS))
@pytest.mark.parametrize("sizes", [(1, 8), (0, 8), (16, 0)])
def test_refuses_invalid_sizes(name, sizes):
    with pytest.raises(ValueError, match="at least 2 codes of dimension 1 or more"):
        QUANTIZERS[name](*sizes, **KWARGS.get(name, {}))


def test_unknown_name_lists_the_table():
    with pytest.raises(ValueError, match=r"Unknown quantizer 'fqs': expected one of \[.*'vq'.*\]"):
        choose(QUANTIZERS, "fqs", "quantizer")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int16, torch.int32])
def test_embed_takes_every_integer_dtype(quantizer, latents, dtype):
    indices = quantizer(latents).indices
    assert torch.equal(quantizer.embed(indices.to(dtype)), quantizer.embed(indices))


@pytest.mark.parametrize(
    "indices", [torch.zeros(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.bool), torch.zeros(2, 2).long()]
)
def test_embed_refuses_what_is_not_a_grid_of_integers(quantizer, indices):
    with pytest.raises(ValueError, match=r"Expected integer indices of shape \(B, h, w(, \d)?\), found torch"):
        quantizer.embed(indices)


class _Levels(VectorQuantizer):
    def __init__(self, num_codes, code_dim, *, levels):
        super().__init__(num_codes, len(levels))


@pytest.mark.parametrize(
    ("name", "kwargs", "said"),
    [
        (
            "vq",
            {"levels": [8]},
            r"an unexpected keyword argument 'levels'; it takes \['gradient', 'cosine', 'search_dim'\]",
        ),
        ("vq", {"num_codes": 8}, "multiple values for argument 'num_codes'"),
        ("vq", {1: 2}, "keywords must be strings"),
        ("vq", 3, "quantizer_kwargs expects a mapping of keyword arguments, found 3"),
        ("vq", "levels", "quantizer_kwargs expects a mapping of keyword arguments, found 'levels'"),
        ("levels", {"levels": 8}, "object of type 'int' has no len"),
        ("levels", None, r"missing 1 required keyword-only argument: 'levels'; it takes \['levels'\]"),
    ],
)
def test_keyword_arguments_that_do_not_fit_are_named(monkeypatch, name, kwargs, said):
    monkeypatch.setitem(QUANTIZERS, "levels", _Levels)
    with pytest.raises(ValueError, match=said):
        make_quantizer(name, NUM_CODES, CODE_DIM, kwargs)
