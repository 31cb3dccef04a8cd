"""ONNX files of an autoencoder: one from pixels to codes, one from codes to pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .checks import check_installed
from .layout import DECODER_ONNX, ENCODER_ONNX
from .preparation.folder import write_atomically

# A batch of diffusers' upsampling is laid out anew in memory from 64 samples on, which torch.export takes for another
# graph. It computes the same, and an ONNX file knows no layout: it takes batches of any size.
MAX_BATCH = 63
WEIGHTS = ("float", "int8")
MAX_SAMPLE_ERROR = 1e-4  # in [-1, 1]; a grey level is 0.008
MAX_CODES_CHANGED = 0.001  # share of codes that rounding may decide otherwise
MAX_ERROR_RISE = 0.05  # of int8 weights: relative rise of the mean squared error, 0.2 dB


class PixelsToIndices(nn.Module):
    """`model.encode`: pixel_values (B, C, H, W) in [-1, 1] to indices (B, h, w) or (B, h, w, depth), int32."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model.encode(pixel_values).indices.int()


class IndicesToSample(nn.Module):
    """`model.decode_indices`: indices (B, h, w) or (B, h, w, depth), int32, to a sample (B, C, H, W) in [-1, 1]."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        return self.model.decode_indices(indices).sample


@dataclass
class Agreement:
    """How ONNX files agree with their model on some frames.

    num_codes: codes that were compared.
    num_different: of these, how many differ, because rounding decided between two codes.
    sample_error: largest absolute difference of the samples for equal codes, in [-1, 1].
    error_rise: relative rise of the mean squared error of frames that are encoded and decoded; below 0 if it falls.
    """

    num_codes: int
    num_different: int
    sample_error: float
    error_rise: float


@torch.no_grad()
def export_programs(model: nn.Module) -> tuple[torch.export.ExportedProgram, torch.export.ExportedProgram]:
    """`torch.export` of encode and of decode_indices, for batches of 1 to `MAX_BATCH` frames of the model's size.

    Args:
        model: a SmokeVQVAE or SmokeVQGAN in float32, in evaluation mode, with any quantizer.

    Returns:
        Programs of `PixelsToIndices` and `IndicesToSample`. Indices out of range are not refused by the second.
    """
    config = model.config
    pixel_values = torch.zeros(2, config.in_channels, config.sample_size, config.sample_size, device=model.device)
    encode, decode = PixelsToIndices(model), IndicesToSample(model)
    batch = torch.export.Dim("batch", max=MAX_BATCH)
    return (
        torch.export.export(encode, (pixel_values,), dynamic_shapes={"pixel_values": {0: batch}}),
        torch.export.export(decode, (encode(pixel_values),), dynamic_shapes={"indices": {0: batch}}),
    )


def check_weights(weights: str) -> None:
    """Raise a ValueError unless `export_onnx` knows `weights`."""
    if weights not in WEIGHTS:
        raise ValueError(f"Unknown weights {weights!r}: expected one of {list(WEIGHTS)}.")


def check_onnx() -> None:
    """Raise a ValueError unless the packages that export and comparison need are installed."""
    check_installed("Export to ONNX", "onnx", onnx="onnx", onnxscript="onnxscript", onnxruntime="onnxruntime")


def export_onnx(model: nn.Module, folder: Path, weights: str = "float") -> None:
    """Write `encoder.onnx` (pixel_values -> indices) and `decoder.onnx` (indices -> sample) for batches of any size.

    Weights that float16 represents exactly are stored in it, as those of a published model are; the computation is in
    float32.

    Args:
        model: as in `export_programs`.
        folder: exists.
        weights: "float", or "int8" to store the weights of convolutions in int8 with a scale for each output channel.

    Raises:
        ValueError: a package is missing; a model in another precision; unknown weights.
    """
    check_onnx()
    check_weights(weights)
    if model.dtype != torch.float32:
        raise ValueError(f"Export to ONNX expects a model in float32, found {model.dtype}.")
    names = ((ENCODER_ONNX, "pixel_values", "indices"), (DECODER_ONNX, "indices", "sample"))
    for program, (file, taken, given) in zip(export_programs(model), names, strict=True):
        exported = torch.onnx.export(
            program, dynamo=True, input_names=[taken], output_names=[given], external_data=False, verbose=False
        )
        proto = exported.model_proto
        _tidy(proto.graph)
        if weights == "int8":
            _store_int8(proto.graph)
        _store_halves(proto.graph)
        write_atomically(folder / file, proto.SerializeToString())


def compare_onnx(model: nn.Module, folder: Path, pixel_values: torch.Tensor, weights: str = "float") -> Agreement:
    """Run the files in `folder` with onnxruntime on `pixel_values` (B, C, H, W), beside the model.

    Args:
        weights: as in `export_onnx`.

    Raises:
        ValueError: of "float" weights, samples differ by more than `MAX_SAMPLE_ERROR`, or more codes than the share
            `MAX_CODES_CHANGED`; of "int8", the mean squared error rises by more than `MAX_ERROR_RISE`; unknown weights.
    """
    import onnxruntime

    check_weights(weights)
    with torch.no_grad():
        indices = model.encode(pixel_values).indices.int().cpu().numpy()
        sample = model.decode_indices(torch.from_numpy(indices).to(model.device)).sample.cpu().numpy()
    encoder, decoder = (
        onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
        for file in (ENCODER_ONNX, DECODER_ONNX)
    )
    target = pixel_values.cpu().numpy()
    (found,) = encoder.run(None, {"pixel_values": target})
    (decoded,) = decoder.run(None, {"indices": indices})
    (reconstructed,) = decoder.run(None, {"indices": found})
    agreement = Agreement(
        num_codes=indices.size,
        num_different=int((found != indices).sum()),
        sample_error=float(np.abs(decoded - sample).max()),
        error_rise=float(np.square(reconstructed - target).mean() / np.square(sample - target).mean() - 1),
    )
    if weights == "int8" and not agreement.error_rise <= MAX_ERROR_RISE:  # also NaN
        raise ValueError(
            f"int8 weights do not suit this model: the mean squared error of its reconstructions rises by "
            f"{agreement.error_rise:.1%}, and {MAX_ERROR_RISE:.0%} is allowed. Export it with float weights."
        )
    if weights == "float" and (
        agreement.sample_error > MAX_SAMPLE_ERROR or agreement.num_different > MAX_CODES_CHANGED * indices.size
    ):
        raise ValueError(
            f"The ONNX files do not agree with the model: {agreement.num_different} of {indices.size} codes differ,"
            f" and samples of equal codes by up to {agreement.sample_error:.2g}."
        )
    return agreement


def _tidy(graph) -> None:
    """Name the batch, and remove what the exporter notes at each node: much, and paths of this machine."""
    del graph.metadata_props[:], graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _store_int8(graph) -> None:
    """Store the weights of convolutions in int8, symmetric, with a scale for each output channel in float32.

    A Cast and a Mul make them float32 again, which onnxruntime computes once, when a file is loaded. It would compute a
    DequantizeLinear at each call.
    """
    import onnx
    from onnx import numpy_helper
    from onnx.helper import make_node

    convolved = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    nodes = []
    for weight in [each for each in graph.initializer if each.name in convolved]:
        name, values = weight.name, numpy_helper.to_array(weight)  # (out, in, height, width)
        scale = np.abs(values).max(axis=(1, 2, 3), keepdims=True) / 127
        scale[scale == 0] = 1
        weight.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(make_node("Cast", [f"{name}.int8"], [f"{name}.steps"], to=onnx.TensorProto.FLOAT))
        nodes.append(make_node("Mul", [f"{name}.steps", f"{name}.scale"], [name]))
    _prepend(graph, nodes)


def _store_halves(graph) -> None:
    """Store float32 weights that float16 represents exactly in float16, with a cast that runs when a file is loaded."""
    import onnx
    from onnx import numpy_helper

    casts = []
    for weight in graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.array_equal(halves, values):
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(halves, f"{name}.float16"))
            casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
    _prepend(graph, casts)


def _prepend(graph, nodes: list) -> None:
    nodes = [*nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
