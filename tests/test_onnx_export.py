"""ONNX files and exported programs compute what the model computes."""

import pytest
import torch

from smoke_vq import SmokeVQVAE, onnx_export
from smoke_vq.onnx_export import compare_onnx, export_onnx, export_programs
from smoke_vq.quantizers import QUANTIZERS

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
