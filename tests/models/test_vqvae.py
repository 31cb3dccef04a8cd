"""The autoencoder: its sizes, the agreement of its methods, and invalid input."""

import pytest
import torch
from accelerate.utils import convert_outputs_to_fp32

from smoke_vq import SmokeVQGAN, SmokeVQVAE
from smoke_vq.models import SmokeVQVAEOutput


def test_the_default_is_the_specified_model():
    with torch.device("meta"):
        model = SmokeVQVAE()
        latents = model.encoder(torch.empty(2, 3, 64, 64))
        sample = model.decoder(latents)
    assert latents.shape == (2, 256, 8, 8)
    assert sample.shape == (2, 3, 64, 64)
    assert model.quantizer.codebook.shape == (1024, 256)
    assert model.downsampling_factor == 8
    assert [block.resnets[-1].out_channels for block in model.encoder.down_blocks] == [128, 256, 512, 1024]
    assert [block.resnets[-1].out_channels for block in model.decoder.up_blocks] == [128, 64, 32, 16]
    assert sum(parameter.numel() for parameter in model.parameters()) == 94_725_091


def test_the_default_attends_at_the_lowest_resolution_only():
    with torch.device("meta"):
        model = SmokeVQVAE()
    attentions = [name for name, module in model.named_modules() if type(module).__name__ == "Attention"]
    assert attentions == ["encoder.mid_block.attentions.0", "decoder.mid_block.attentions.0"]


def test_no_norm_has_fewer_than_four_channels_per_group():
    with torch.device("meta"):
        model = SmokeVQVAE()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.GroupNorm)]
    assert norms and min(norm.num_channels // norm.num_groups for norm in norms) >= 4


def test_shapes(tiny_model, pixel_values):
    output = tiny_model(pixel_values)
    assert output.sample.shape == pixel_values.shape
    assert output.latents.shape == (3, 8, 8, 8)
    assert output.indices.shape == (3, 8, 8) and output.indices.dtype == torch.int64
    assert tuple(output.losses) == ("commitment", "codebook")
    assert len(output.indices.unique()) > 8, "the fixture should use many codes"


@pytest.mark.parametrize(
    ("size", "change", "grid"),
    [
        (32, {}, (16, 16)),
        (16, {"encoder_block_out_channels": (8, 8, 16), "decoder_block_out_channels": (16, 8, 8)}, (4, 4)),
        (128, {"encoder_block_out_channels": (8,) * 5, "decoder_block_out_channels": (8,) * 5}, (8, 8)),
        (16, {"encoder_block_out_channels": (8,), "decoder_block_out_channels": (8,)}, (16, 16)),
        (16, {"latent_channels": 4}, (8, 8)),
        (16, {"mid_block_attention": False}, (8, 8)),
        (16, {"layers_per_block": 2, "in_channels": 1, "out_channels": 1}, (8, 8)),
    ],
    ids=["32 px", "3 levels", "128 px, 5 levels", "1 level", "4-channel latents", "no attention", "grey"],
)
def test_every_size_is_configurable(tiny_kwargs, size, change, grid):
    model = SmokeVQVAE(**tiny_kwargs | {"sample_size": size} | change)
    channels = change.get("in_channels", 3)
    output = model(torch.zeros(1, channels, size, size))
    assert output.sample.shape == (1, channels, size, size)
    assert output.latents.shape == (1, change.get("latent_channels", 8), *grid)


def test_frames_need_not_be_square_or_of_the_training_size(tiny_model):
    assert tiny_model(torch.zeros(1, 3, 24, 40)).sample.shape == (1, 3, 24, 40)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((1, 3, 15, 16), r"multiples of 2, found \(15, 16\)"),
        ((1, 3, 16, 17), r"multiples of 2, found \(16, 17\)"),
        ((1, 4, 16, 16), r"shape \(B, 3, H, W\), found \(1, 4, 16, 16\)"),
        ((3, 16, 16), r"shape \(B, 3, H, W\), found \(3, 16, 16\)"),
    ],
)
def test_refuses_frames_of_other_shapes(tiny_model, shape, sentence):
    for call in (tiny_model, tiny_model.encode):
        with pytest.raises(ValueError, match=sentence):
            call(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"decoder_block_out_channels": (8,)}, "the same number of levels"),
        ({"encoder_block_out_channels": (8, 6)}, r"encoder_block_out_channels expects multiples of 4.*\[8, 6\]"),
        ({"encoder_block_out_channels": (), "decoder_block_out_channels": ()}, "expects multiples of 4"),
        ({"sample_size": 17}, "sample_size 17 is not a multiple of 2, the downsampling factor"),
        ({"quantizer_type": "fqs"}, r"Unknown quantizer 'fqs': expected one of \["),
        ({"num_vq_embeddings": 1}, "at least 2 codes"),
    ],
)
def test_refuses_invalid_sizes(tiny_kwargs, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        SmokeVQVAE(**tiny_kwargs | change)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_methods_give_the_same_reconstruction(tiny_model, pixel_values, dtype):
    model, pixel_values = tiny_model.to(dtype), pixel_values.to(dtype)
    output = model(pixel_values)
    encoded = model.encode(pixel_values)
    assert torch.equal(encoded.latents, output.latents)
    assert torch.equal(encoded.indices, output.indices)
    assert torch.equal(model.decode(encoded.latents).sample, output.sample)
    assert torch.equal(model.decode_indices(encoded.indices).sample, output.sample)
    quantized = model.quantizer.embed(encoded.indices)
    assert torch.equal(model.decode(quantized, force_not_quantize=True).sample, output.sample)


def test_tuples_equal_the_outputs(tiny_model, pixel_values):
    output = tiny_model(pixel_values)
    sample, latents, indices, losses = tiny_model(pixel_values, return_dict=False)
    assert torch.equal(sample, output.sample) and torch.equal(latents, output.latents)
    assert torch.equal(indices, output.indices) and losses == output.losses
    latents, indices = tiny_model.encode(pixel_values, return_dict=False)
    assert torch.equal(indices, output.indices)
    assert torch.equal(tiny_model.decode(latents, return_dict=False)[0], output.sample)
    assert torch.equal(tiny_model.decode_indices(indices, return_dict=False)[0], output.sample)


def test_decode_indices_refuses_invalid_codes(tiny_model):
    with pytest.raises(ValueError, match=r"indices in \[0, 32\), found 0 to 32"):
        tiny_model.decode_indices(torch.tensor([[[0, 32]]]))


@torch.no_grad()
def test_slicing_does_not_change_the_outputs(tiny_model, pixel_values):
    whole = tiny_model(pixel_values)
    batches = []
    tiny_model.encoder.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    tiny_model.enable_slicing()
    sliced = tiny_model(pixel_values)
    assert batches == [1, 1, 1]
    torch.testing.assert_close(sliced.sample, whole.sample, rtol=0, atol=1e-5)
    assert torch.equal(sliced.indices, whole.indices)
    torch.testing.assert_close(tiny_model.decode_indices(whole.indices).sample, whole.sample, rtol=0, atol=1e-5)
    tiny_model.disable_slicing()
    assert torch.equal(tiny_model(pixel_values).sample, whole.sample)


def test_gradient_checkpointing_gives_the_same_gradients(tiny_model, pixel_values):
    def gradients() -> dict[str, torch.Tensor]:
        tiny_model.zero_grad()
        output = tiny_model(pixel_values)
        (output.sample.sub(pixel_values).square().mean() + sum(output.losses.values())).backward()
        return {name: parameter.grad.clone() for name, parameter in tiny_model.named_parameters()}

    tiny_model.train()
    plain = gradients()
    tiny_model.enable_gradient_checkpointing()
    calls = []
    tiny_model.encoder.mid_block.register_forward_pre_hook(lambda *_: calls.append(1))
    checkpointed = gradients()
    assert len(calls) == 2, "forward, and again in backward"
    for name, gradient in plain.items():
        assert torch.equal(checkpointed[name], gradient), name


def test_every_parameter_has_a_gradient(tiny_model, pixel_values):
    output = tiny_model(pixel_values)
    (output.sample.square().mean() + sum(output.losses.values())).backward()
    assert [name for name, p in tiny_model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@torch.no_grad()
def test_the_sample_is_in_range(tiny_model):
    tiny_model.decoder.conv_out.weight.mul_(100)
    tiny_model.checks_pixels = False
    sample = tiny_model(torch.rand(2, 3, 16, 16) * 200 - 100).sample
    assert sample.abs().max() <= 1 and sample.abs().max() > 0.9


@torch.no_grad()
def test_runs_under_bf16_autocast(tiny_model, pixel_values):
    expected = tiny_model(pixel_values)
    with torch.autocast("cpu", torch.bfloat16):
        output = tiny_model(pixel_values)
    assert output.sample.dtype == torch.bfloat16
    assert all(loss.dtype == torch.float32 for loss in output.losses.values())
    assert (output.sample - expected.sample).abs().mean() < 0.05


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_runs_in_half_precision(tiny_model, pixel_values, dtype):
    expected = tiny_model(pixel_values)
    output = tiny_model.to(dtype)(pixel_values.to(dtype))
    assert output.sample.dtype == output.latents.dtype == dtype
    assert (output.sample - expected.sample).abs().mean() < 0.05


@torch.no_grad()
def test_output_survives_mixed_precision(tiny_model, pixel_values):
    """Accelerate rebuilds outputs from a dict: a field without a default would raise TypeError."""
    output = convert_outputs_to_fp32(tiny_model.bfloat16().forward)(pixel_values.bfloat16())
    assert isinstance(output, SmokeVQVAEOutput)
    assert output.sample.dtype == output.latents.dtype == torch.float32
    assert output.indices.dtype == torch.int64
    assert tuple(output.losses) == ("commitment", "codebook")


def test_the_vqgan_is_the_same_autoencoder(tiny_kwargs, tiny_model, pixel_values):
    model = SmokeVQGAN(**tiny_kwargs).eval()
    model.load_state_dict(tiny_model.state_dict())
    assert torch.equal(model(pixel_values).sample, tiny_model(pixel_values).sample)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_decode_indices_accepts_every_integer_dtype(tiny_model, pixel_values, dtype):
    indices = tiny_model.encode(pixel_values).indices
    stored = tiny_model.decode_indices(indices.to(dtype)).sample
    assert torch.equal(stored, tiny_model.decode_indices(indices).sample)


def test_latents_are_normalized_by_the_statistics_of_the_config(tiny_kwargs):
    mean, std = [float(i) for i in range(8)], [1.0 + i for i in range(8)]
    model = SmokeVQVAE(**tiny_kwargs, latents_mean=mean, latents_std=std, scaling_factor=0.5)
    latents = torch.randn(2, 8, 4, 4)
    expected = 0.5 * torch.stack([(latents[:, i] - mean[i]) / std[i] for i in range(8)], dim=1)
    torch.testing.assert_close(model.normalize_latents(latents), expected)
    torch.testing.assert_close(model.denormalize_latents(expected), latents)


def test_latents_without_statistics_are_not_normalized(tiny_model):
    with pytest.raises(ValueError, match=r"config\.json has no latents_mean and latents_std"):
        tiny_model.normalize_latents(torch.zeros(1, 8, 4, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents_mean": [0.0] * 7, "latents_std": [1.0] * 8}, "latents_mean expects 8 numbers"),
        ({"latents_mean": [0.0] * 8}, "belong together"),
        ({"latents_mean": [0.0] * 8, "latents_std": [0.0] + [1.0] * 7}, r"latents_std expects finite numbers above 0"),
        ({"scaling_factor": 0.0}, r"scaling_factor expects finite numbers above 0, found 0\.0"),
        ({"latents_mean": 3, "latents_std": 3}, "latents_mean expects 8 numbers, one per latent channel: found 3"),
        ({"latents_mean": ["a"] * 8, "latents_std": [1.0] * 8}, "latents_mean expects 8 numbers"),
    ],
)
def test_statistics_of_latents_are_checked(tiny_kwargs, change, message):
    with pytest.raises(ValueError, match=message):
        SmokeVQVAE(**tiny_kwargs, **change)
