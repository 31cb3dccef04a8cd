"""ONNX files and exported programs compute what the model computes."""

import numpy as np
import pytest
import torch

from smoke_vq import SmokeVQVAE, onnx_export
from smoke_vq.onnx_export import compare_onnx, export_onnx, export_programs
from smoke_vq.quantizers import QUANTIZERS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

KWARGS = {"fsq": {"levels": [4, 4, 4]}}
FRAMES = 80  # above MAX_BATCH


def tiny_model(quantizer: str, **sizes) -> SmokeVQVAE:
    torch.manual_seed(0)
    sizes = dict(encoder_block_out_channels=(4,), decoder_block_out_channels=(4,), mid_block_attention=False) | sizes
    return SmokeVQVAE(
        sample_size=8, latent_channels=8, layers_per_block=1, num_vq_embeddings=64, quantizer_type=quantizer,
        quantizer_kwargs=KWARGS.get(quantizer), **sizes,
    ).eval()  # fmt: skip


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_files_of_every_quantizer_agree_with_the_model(quantizer, tmp_path):
    model = tiny_model(quantizer)
    pixel_values = torch.rand(FRAMES, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    export_onnx(model, tmp_path)
    agreement = compare_onnx(model, tmp_path, pixel_values)
    assert agreement.num_codes == FRAMES * 64 * model.quantizer.depth
    assert agreement.num_different == 0 and agreement.sample_error < 1e-5
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.onnx", "decoder.onnx"}


def test_int8_weights_make_smaller_files_that_nearly_agree_with_the_model(tmp_path):
    model = tiny_model("vq", encoder_block_out_channels=(32, 32), decoder_block_out_channels=(32, 32))
    torch.nn.init.zeros_(model.decoder.conv_in.weight[0])  # a channel without a scale
    pixel_values = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    sizes = {}
    for weights in onnx_export.WEIGHTS:
        folder = tmp_path / weights
        folder.mkdir()
        export_onnx(model, folder, weights)
        agreement = compare_onnx(model, folder, pixel_values, weights)
        sizes[weights] = sum(path.stat().st_size for path in folder.iterdir())
    assert sizes["int8"] < 0.4 * sizes["float"], "the weights are most of both files"
    assert 1e-5 < agreement.sample_error < 0.05 and abs(agreement.error_rise) < 0.01
    assert agreement.num_different < 0.1 * agreement.num_codes
    with pytest.raises(ValueError, match="The ONNX files do not agree with the model"):
        compare_onnx(model, tmp_path / "int8", pixel_values)


def test_each_output_channel_of_int8_weights_has_its_own_scale(tmp_path):
    """A channel of small weights is as exact as one of large weights: at most half a step of 1/127 of its largest."""
    model = tiny_model("vq")
    with torch.no_grad():
        model.encoder.conv_in.weight[0] *= 1000
    export_onnx(model, tmp_path, "int8")
    graph = onnx.load(tmp_path / "encoder.onnx").graph
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for name, weight in model.named_parameters():
        if f"model.{name}.int8" in stored:
            steps, scale = stored[f"model.{name}.int8"], stored[f"model.{name}.scale"]
            largest = weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True).numpy()
            assert steps.dtype == np.int8
            assert (abs(steps * scale - weight.detach().numpy()) <= 0.5001 / 127 * largest).all(), name
    assert sum(name.endswith(".int8") for name in stored) == sum(node.op_type == "Conv" for node in graph.node)


def test_exported_programs_take_batches_of_any_size_up_to_their_limit():
    """With levels, attention and upsampling, as every real model has them."""
    model = tiny_model(
        "vq", encoder_block_out_channels=(4, 8), decoder_block_out_channels=(8, 4), mid_block_attention=True
    )
    encode, decode = (program.module() for program in export_programs(model))
    for batch in (1, 5, onnx_export.MAX_BATCH):
        pixel_values = torch.rand(batch, 3, 8, 8) * 2 - 1
        with torch.no_grad():
            indices = model.encode(pixel_values).indices
            torch.testing.assert_close(encode(pixel_values), indices.int(), atol=0, rtol=0)
            torch.testing.assert_close(decode(indices.int()), model.decode_indices(indices).sample)


def test_indices_out_of_range_are_refused_by_the_model_and_by_the_file(tmp_path):
    model = tiny_model("vq")
    export_onnx(model, tmp_path)
    indices = torch.full((1, 8, 8), 64, dtype=torch.int32)
    with pytest.raises(ValueError, match=r"Expected indices in \[0, 64\), found 64 to 64."):
        model.decode_indices(indices)
    decoder = onnxruntime.InferenceSession(tmp_path / "decoder.onnx")
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="out of data bounds"):
        decoder.run(None, {"indices": indices.numpy()})


def test_a_model_in_half_precision_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expects a model in float32, found torch\.bfloat16"):
        export_onnx(tiny_model("vq").bfloat16(), tmp_path)


def test_unknown_weights_are_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown weights 'int4': expected one of \['float', 'int8'\]"):
        export_onnx(tiny_model("vq"), tmp_path, "int4")
    assert not list(tmp_path.iterdir())
