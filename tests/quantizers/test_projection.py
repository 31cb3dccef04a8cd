"""The linear maps between latents and codes of another dimension, alone and in a model."""

import pytest
import torch
from training_runs import MODEL

from smoke_vq import SmokeVQVAE
from smoke_vq.quantizers import FiniteScalarQuantizer
from smoke_vq.quantizers.projection import CodeProjection


def test_it_is_the_identity_if_the_dimensions_are_equal():
    projection, vectors = CodeProjection(5, 5), torch.randn(3, 5)
    assert not list(projection.parameters())
    assert projection.to_codes(vectors) is projection.to_latents(vectors) is vectors


def test_it_starts_as_the_inverse_of_itself():
    codes = torch.randn(50, 6)
    projection = CodeProjection(16, 6)
    torch.testing.assert_close(projection.to_codes(projection.to_latents(codes)), codes)


@pytest.mark.parametrize("sizes", [(16, 6), (3, 6)])
def test_maps_and_gradients_are_those_of_linear_layers(sizes):
    projection = CodeProjection(*sizes)
    for parameter in projection.parameters():
        torch.nn.init.normal_(parameter)
    codes = torch.randn(2, 7, 6, requires_grad=True)
    vectors = projection.to_latents(codes)
    vectors.square().sum().backward()
    weight, bias, expected = (x.detach().double().requires_grad_() for x in (*projection.up.parameters(), codes))
    expected_vectors = torch.nn.functional.linear(expected, weight, bias)
    expected_vectors.square().sum().backward()
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(vectors.double(), expected_vectors, **close)
    for ours, theirs in zip((projection.up.weight, projection.up.bias, codes), (weight, bias, expected), strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, **close)
    torch.testing.assert_close(projection.to_codes(vectors), projection.down(vectors))


def test_codes_give_the_same_bits_in_every_batch():
    torch.manual_seed(0)
    quantizer = FiniteScalarQuantizer(1024, 64, levels=[4] * 5)
    torch.nn.init.normal_(quantizer.projection.up.weight)
    latents = torch.randn(9, 64, 5, 7)
    output = quantizer(latents)
    for size in (1, 2, 4):
        parts = [quantizer.embed(part) for part in output.indices.split(size)]
        assert torch.equal(torch.cat(parts), output.quantized)
    row = torch.cat([quantizer.embed(output.indices[:, i : i + 1, j : j + 1]) for i in range(5) for j in range(7)], -1)
    assert torch.equal(row.unflatten(-1, (5, 7)).squeeze(2), output.quantized)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SmokeVQVAE(**MODEL | dict(quantizer_type="fsq", num_vq_embeddings=64, quantizer_kwargs={"levels": [4] * 3}))


def test_a_model_decodes_stored_codes_bit_for_bit_after_loading(model, tmp_path):
    pixel_values = torch.rand(2, 3, 16, 16) * 2 - 1
    model.save_pretrained(tmp_path)
    loaded = SmokeVQVAE.from_pretrained(tmp_path)
    output = loaded(pixel_values)
    assert torch.equal(output.indices, model(pixel_values).indices)
    assert torch.equal(loaded.decode_indices(output.indices).sample, output.sample)


def test_every_parameter_has_a_gradient_without_quantization(model):
    """Distributed training needs one for each parameter, also in the steps before quantization."""
    pixel_values = torch.rand(2, 3, 16, 16) * 2 - 1
    output = model(pixel_values, quantize=False)
    output.sample.sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    with torch.no_grad():
        assert torch.equal(output.sample, model.decode(output.latents, force_not_quantize=True).sample)
