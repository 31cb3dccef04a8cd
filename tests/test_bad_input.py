"""A matrix of bad input: each ends in one sentence, with the right exception, and leaves no file behind."""

import io
import json
import re
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SIZE, png
from PIL import Image
from safetensors.torch import load_file, save_file
from synthetic_clips import write_video
from training_runs import MODEL

from smoke_vq import (
    AutoSmokeModel,
    LatentProjection,
    PatchDiscriminator,
    SmokeFlowTransformer,
    SmokeForecastPipeline,
    SmokeImageProcessor,
    SmokeVQVAE,
    load_frames,
)
from smoke_vq.checks import check_count
from smoke_vq.data.clips import clip_values, read_clip
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.downloads.checksums import read_checksums
from smoke_vq.hub.card import write_card
from smoke_vq.hub.push import push_dataset
from smoke_vq.hub.staging import published_files, stage_model
from smoke_vq.layout import CHECKSUMS, CONFIG, MODEL_FILES, PROCESSOR, WEIGHTS, WEIGHTS_INDEX
from smoke_vq.limits import MAX_HEADER_BYTES, MAX_IMAGE_PIXELS, MAX_TEXT_BYTES
from smoke_vq.models.initialization import check_codes_can_start
from smoke_vq.preparation.matting.video import read_video, video_info
from smoke_vq.preparation.settings import read_settings
from smoke_vq.quantizers import make_quantizer
from smoke_vq.training import VQVAEArguments, parse_arguments

FRAME = np.zeros((SIZE, SIZE, 3), np.uint8)
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


def name_of(value) -> str:
    """A short name of a case."""
    return value[-30:] if isinstance(value, str) else ""


def refused(call, error, sentence: str) -> None:
    """The call raises exactly this error, whose message is one line that contains the pattern."""
    before = set(Path.cwd().rglob("*"))
    with pytest.raises((ValueError, OSError), match=sentence) as raised:
        call()
    message = str(raised.value)
    assert isinstance(raised.value, error), repr(raised.value)
    assert message == message.strip() and "\n" not in message and len(message) < 800, message
    assert set(Path.cwd().rglob("*")) == before


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return SmokeVQVAE(**MODEL, latents_mean=[0.0] * 8, latents_std=[1.0] * 8).eval()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    model.save_pretrained(folder)
    SmokeImageProcessor(size=SIZE).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Tensors

PIXELS = torch.zeros(2, 3, SIZE, SIZE)
LATENTS = torch.zeros(2, 8, 8, 8)
CODES = torch.zeros(2, 8, 8, dtype=torch.int64)
TENSORS = [
    *(
        (method, value, sentence)
        for method in ("encode", "forward")
        for value, sentence in (
            (PIXELS.to(torch.uint8), "pixel_values of a floating dtype, found uint8 .SmokeImageProcessor makes it"),
            (PIXELS.long(), "floating dtype, found int64"),
            (PIXELS > 0, "floating dtype, found bool"),
            (PIXELS + 0j, "floating dtype, found complex64"),
            (PIXELS.numpy(), "pixel_values as a torch.Tensor, found ndarray"),
            (PIXELS.tolist(), "pixel_values as a torch.Tensor, found list"),
            (None, "pixel_values as a torch.Tensor, found NoneType"),
            ("frame.png", "pixel_values as a torch.Tensor, found str"),
            (PIXELS[:0], r"at least one sample, found \(0, 3, 16, 16\)"),
            (PIXELS[:, :, :0], r"at least one sample, found \(2, 3, 0, 16\)"),
            (PIXELS[0], r"shape \(B, 3, H, W\), found \(3, 16, 16\)"),
            (PIXELS[:, :1], r"shape \(B, 3, H, W\), found \(2, 1, 16, 16\)"),
            (PIXELS[..., 1:], r"multiples of 2, found \(16, 15\)"),
            (PIXELS * float("nan"), r"pixel_values in \[-1, 1\], found nan to nan"),
            (PIXELS - float("inf"), "found -inf to -inf"),
            (PIXELS + 255, r"found 255 to 255 .SmokeImageProcessor converts images.\.$"),
        )
    ),
    *(
        ("decode", value, sentence)
        for value, sentence in (
            (LATENTS.to(torch.uint8), "latents of a floating dtype, found uint8"),
            (LATENTS.numpy(), "latents as a torch.Tensor, found ndarray"),
            (LATENTS[:0], r"latents of at least one sample, found \(0, 8, 8, 8\)"),
            (LATENTS[:, :4], r"latents of shape \(B, 8, h, w\), found \(2, 4, 8, 8\)"),
            (LATENTS[0], r"latents of shape \(B, 8, h, w\), found \(8, 8, 8\)"),
        )
    ),
    *(
        ("decode_indices", value, sentence)
        for value, sentence in (
            (CODES.bool(), r"integer indices of shape \(B, h, w\), found torch.bool"),
            (CODES.float(), "integer indices of shape .*, found torch.float32"),
            (CODES.numpy(), "integer indices as a torch.Tensor, found ndarray"),
            (CODES.tolist(), "integer indices as a torch.Tensor, found list"),
            (CODES[0], r"integer indices of shape \(B, h, w\), found torch.int64 \(8, 8\)"),
            (CODES[:0], "at least one sample"),
            (CODES + 32, r"indices in \[0, 32\), found 32 to 32"),
            (CODES - 1, "found -1 to -1"),
        )
    ),
    ("normalize_latents", LATENTS.numpy(), "latents as a torch.Tensor, found ndarray"),
    ("normalize_latents", LATENTS[:, :4], r"latents of shape \(B, 8, h, w\)"),
    ("denormalize_latents", LATENTS.long(), "latents of a floating dtype, found int64"),
]


@pytest.mark.parametrize(
    ("method", "value", "sentence"), TENSORS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_tensors(model, method, value, sentence):
    refused(lambda: getattr(model, method)(value), ValueError, sentence)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_dtype_is_taken(model, dtype):
    pixel_values = (torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1).to(dtype)
    output = model(pixel_values)
    assert torch.equal(output.sample, model(pixel_values.float()).sample)
    assert torch.equal(model.encode(pixel_values).indices, output.indices)
    assert torch.equal(model.decode(output.latents.double()).sample, output.sample)


def test_values_are_not_checked_in_training_nor_in_a_graph_nor_with_the_switch_off(model):
    outside, inside = PIXELS + 2, PIXELS
    training = SmokeVQVAE(**MODEL).train()
    training(outside)
    with pytest.raises(ValueError, match="found 2 to 2"):
        training.encode(outside)
    training.checks_pixels = False
    training.encode(outside)
    with torch.no_grad():
        graph = torch.export.export(model, (inside,))
        assert not [node for node in graph.graph.nodes if re.search("aminmax|_local_scalar", str(node.target))]
        assert graph.module()(outside).sample.shape == outside.shape
    explained = torch._dynamo.explain(training)(outside)
    assert explained.graph_break_count == 0, explained.break_reasons


# Configurations

CONFIGURATIONS = [
    (SmokeVQVAE, {"sample_size": 0}, "sample_size expects a whole number of 1 or more, found 0"),
    (SmokeVQVAE, {"sample_size": -16}, "sample_size expects .*, found -16"),
    (SmokeVQVAE, {"sample_size": "16"}, "sample_size expects .*, found '16'"),
    (SmokeVQVAE, {"sample_size": 16.0}, r"sample_size expects .*, found 16\.0"),
    (SmokeVQVAE, {"sample_size": True}, "sample_size expects .*, found True"),
    (SmokeVQVAE, {"layers_per_block": 0}, "layers_per_block expects .*, found 0"),
    (SmokeVQVAE, {"layers_per_block": 1.5}, r"layers_per_block expects .*, found 1\.5"),
    (SmokeVQVAE, {"in_channels": 0}, "in_channels expects .*, found 0"),
    (SmokeVQVAE, {"out_channels": -3}, "out_channels expects .*, found -3"),
    (SmokeVQVAE, {"latent_channels": True}, "latent_channels expects .*, found True"),
    (SmokeVQVAE, {"num_vq_embeddings": 2.5}, r"num_vq_embeddings expects .*, found 2\.5"),
    (
        SmokeVQVAE,
        {"num_vq_embeddings": 10**12},
        "takes at most 16,777,216 codes, found 1,000,000,000,000",
    ),
    (SmokeVQVAE, {"encoder_block_out_channels": 8}, "encoder_block_out_channels expects multiples of 4 .*, found 8"),
    (SmokeVQVAE, {"encoder_block_out_channels": (8, "16")}, r"expects multiples of 4 .*, found \[8, '16'\]"),
    (SmokeVQVAE, {"encoder_block_out_channels": (8.0, 16)}, r"expects multiples of 4 .*, found \[8\.0, 16\]"),
    (SmokeVQVAE, {"mid_block_attention": "yes"}, "mid_block_attention expects true or false, found 'yes'"),
    (SmokeVQVAE, {"quantizer_kwargs": [1]}, "quantizer_kwargs expects a mapping"),
    (SmokeVQVAE, {"latents_mean": [0.0] * 7, "latents_std": [1.0] * 8}, "latents_mean expects 8 numbers.*: found 7"),
    (SmokeVQVAE, {"latents_mean": [float("nan")] * 8, "latents_std": [1.0] * 8}, "latents_mean expects finite numbers"),
    (SmokeVQVAE, {"latents_mean": [0.0] * 8, "latents_std": [1.0] * 7 + [float("nan")]}, "latents_std expects finite"),
    (SmokeVQVAE, {"scaling_factor": "1"}, "scaling_factor expects finite numbers above 0, found '1'"),
    (PatchDiscriminator, {"num_layers": 10**12}, "num_layers expects at most 16, found 1000000000000"),
    (PatchDiscriminator, {"base_channels": 1.5}, r"base_channels expects a whole number of 1 or more, found 1\.5"),
    (LatentProjection, {"projected_channels": 1.5}, r"projected_channels expects .*, found 1\.5"),
    (SmokeFlowTransformer, {"attention_head_dim": "64"}, "attention_head_dim expects .*, found '64'"),
    (SmokeFlowTransformer, {"num_previous": 0}, "num_previous expects .*, found 0"),
]


@pytest.mark.parametrize(("model_class", "change", "sentence"), CONFIGURATIONS, ids=str)
def test_configurations(model_class, change, sentence):
    refused(lambda: model_class(**(MODEL if model_class is SmokeVQVAE else {}) | change), ValueError, sentence)


QUANTIZERS = [
    ("ibq", 10**12, 8, {}, "IndexBackpropagationQuantizer takes at most 16,777,216 codes"),
    ("lfq", 2**40, 8, {}, "LookupFreeQuantizer takes at most 2,147,483,647 codes"),
    ("vq", "32", 8, {}, "at least 2 codes of dimension 1 or more: found 32"),
    ("vq", 32, 8, {1: 2}, "quantizer_kwargs .* do not fit quantizer 'vq'"),
    ("residual", 32, 8, {"depth": 0}, "depth expects a whole number of 1 or more, found 0"),
]


@pytest.mark.parametrize(
    ("name", "num_codes", "dim", "kwargs", "sentence"), QUANTIZERS, ids=lambda value: str(value)[:20]
)
def test_quantizers(name, num_codes, dim, kwargs, sentence):
    refused(lambda: make_quantizer(name, num_codes, dim, kwargs), ValueError, sentence)


def test_more_codes_than_latents_are_refused_before_anything_is_encoded(model, monkeypatch):
    frames = PackedFrames(torch.zeros(9, SIZE, SIZE, 3, dtype=torch.uint8))
    loader = FrameLoader(frames, SmokeImageProcessor(size=SIZE), batch_size=4, shuffle=True)  # 8 frames of 64 latents
    monkeypatch.setattr(SmokeVQVAE, "encode", None)
    check_codes_can_start(model, loader, 512)
    large = SmokeVQVAE(**MODEL | {"num_vq_embeddings": 513})
    refused(lambda: check_codes_can_start(large, loader, 512), ValueError, "give 512 latents for 513 codes: use more")
    loader.crop_size, loader.crop_batches = loader.processor.height // 2, 1
    refused(lambda: check_codes_can_start(large, loader, 512), ValueError, "give 320 latents for 513 codes")
    loader.crop_batches = 0
    check_codes_can_start(large, loader, 0)
    fixed = SmokeVQVAE(**MODEL | {"num_vq_embeddings": 1024, "quantizer_type": "lfq"})
    check_codes_can_start(fixed, loader, 512)


# The processor

IMAGES = [
    ([], "at least one image, found none"),
    (np.zeros((0, SIZE, SIZE, 3), np.uint8), "at least one image, found none"),
    (None, "Expected images, arrays or tensors, found NoneType"),
    ("frame.png", "found str"),
    (b"frame", "found bytes"),
    (3, "found int"),
    ({"image": FRAME}, "found dict"),
    ([FRAME, None], "found object"),
    (FRAME.astype(np.float32), "found float32"),
    (FRAME.astype(np.int16), "found int16"),
    (FRAME[None, None], r"found uint8 of shape \(1, 16, 16, 3\)"),
    (FRAME[:, :0], "of at least one pixel"),
    (np.zeros((SIZE, SIZE, 4), np.uint8), r"found uint8 of shape \(16, 16, 4\)"),
    (Image.new("RGBA", (SIZE, SIZE)), "Expected RGB images, found one of mode RGBA"),
    (Image.new("P", (SIZE, SIZE)), "found one of mode P"),
    (
        np.lib.stride_tricks.as_strided(FRAME, (50_000, 50_000, 3), (0, 0, 0)),
        "has 50000x50000 pixels: expected",
    ),
]


@pytest.mark.parametrize(("images", "sentence"), IMAGES, ids=[sentence[:40] for _, sentence in IMAGES])
def test_images(images, sentence):
    refused(lambda: SmokeImageProcessor(size=SIZE)(images), ValueError, sentence)


PROCESSOR_CALLS = [
    (lambda p: p([FRAME, FRAME], alpha=FRAME[..., 0]), r"one alpha per image, found 1 for 2 image\(s\)"),
    (lambda p: p(FRAME, alpha=[]), "at least one alpha, found none"),
    (lambda p: p.postprocess(PIXELS.numpy()), "a sample as a torch.Tensor, found ndarray"),
    (lambda p: p.postprocess(PIXELS[0]), r"a sample of shape \(B, 3, H, W\), found \(3, 16, 16\)"),
    (lambda p: p.postprocess(PIXELS.long()), "a sample of a floating dtype, found int64"),
    (lambda p: p.postprocess(PIXELS[:0]), "at least one sample"),
    (lambda p: p.postprocess(PIXELS * float("nan")), r"a sample in \[-1, 1\], found NaN"),
    (lambda p: SmokeImageProcessor(size=10**9), "size has 1000000000x1000000000 pixels"),
    (lambda p: clip_values([], p), "found an empty list"),
    (lambda p: clip_values(PIXELS * float("nan"), p), r"pixel_values in \[-1, 1\], found nan"),
    (lambda p: clip_values(PIXELS + 255, p), "found 255 to 255"),
    (lambda p: clip_values(PIXELS.long(), p), "found int64"),
]


@pytest.mark.parametrize(("call", "sentence"), PROCESSOR_CALLS, ids=[sentence[:40] for _, sentence in PROCESSOR_CALLS])
def test_processor(call, sentence):
    refused(lambda: call(SmokeImageProcessor(size=SIZE)), ValueError, sentence)


# Saved models


def config(**changes):
    def change(folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(content | changes))

    return change


def text(name: str, content: str | bytes):
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def flip(name: str, position: int):
    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[position] ^= 1
        (folder / name).write_bytes(content)

    return change


def header(length: int, size: int | None = None):
    """Another length of the header in the weights, and of the file, which is sparse."""

    def change(folder: Path) -> None:
        with open(folder / WEIGHTS, "r+b") as file:
            file.write(length.to_bytes(8, "little"))
            if size is not None:
                file.truncate(size)

    return change


def nan_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["decoder.conv_in.bias"][0] = float("nan")
    save_file(weights, folder / WEIGHTS)
    (folder / CHECKSUMS).unlink()


def link(name: str, target: str):
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return change


def index(**names: str):
    return text(WEIGHTS_INDEX, json.dumps({"weight_map": names}))


SAVED = [
    (config(num_vq_embeddings=10**12), ValueError, "does not fit SmokeVQVAE: .* at most 16,777,216 codes"),
    (config(num_vq_embeddings=2**24), ValueError, r"size mismatch for quantizer.codebook .expected \[16777216, 8\]"),
    (config(latent_channels=10**9), ValueError, "does not fit SmokeVQVAE: latents_mean expects 1000000000 numbers"),
    (
        config(latent_channels=10**9, latents_mean=None, latents_std=None),
        ValueError,
        "size mismatch for decoder.conv_in",
    ),
    (config(encoder_block_out_channels=[8, 4 * 10**8]), ValueError, "size mismatch for encoder"),
    (config(layers_per_block=10**6), ValueError, "a model of far more layers than there are weights"),
    (config(layers_per_block=0), ValueError, "layers_per_block expects a whole number of 1 or more, found 0"),
    (config(sample_size=0), ValueError, "sample_size expects a whole number of 1 or more, found 0"),
    (config(latents_mean=[0.0] * 7), ValueError, "latents_mean expects 8 numbers, one per latent channel: found 7"),
    (
        config(quantizer_type="residual", quantizer_kwargs={"depth": 10**6}),
        ValueError,
        "a model of far more layers than there are weights",
    ),
    (config(encoder_block_out_channels=[4] * 60, decoder_block_out_channels=[4] * 60), ValueError, "is not a multiple"),
    (config(quantizer_type="fqs"), ValueError, "Unknown quantizer 'fqs': expected one of"),
    (config(colour="grey"), ValueError, "has the key 'colour'"),
    (config(_smoke_vq_format=[1]), ValueError, r"in format \[1\]"),
    (config(_smoke_vq_format=True), ValueError, "in format True"),
    (
        config(scaling_factor=2.0),
        ValueError,
        "config.json of .* is damaged: its sha256 is .*, checksums.sha256 records",
    ),
    (text(CONFIG, DEEP), ValueError, "The config.json of .* is nested too deep"),
    (text(CONFIG, "{"), ValueError, "The config.json of .* is not valid JSON"),
    (text(CONFIG, b"\xff\xfe"), ValueError, "The config.json of .* is not text in UTF-8"),
    (
        text(CONFIG, " " * (MAX_TEXT_BYTES + 1)),
        ValueError,
        "The config.json of .* has 8,388,609 bytes: expected",
    ),
    (text(CONFIG, "1" * 5000), ValueError, "The config.json of .* is not valid JSON: Exceeds the limit"),
    (text(CONFIG, "null"), ValueError, "does not name a model class"),
    (link(CONFIG, "/dev/zero"), ValueError, "The config.json of .* is not a file"),
    (flip(WEIGHTS, -1), ValueError, f"{WEIGHTS} of .* is damaged: its sha256 is"),
    (flip(WEIGHTS, 20), ValueError, "The weights in .* are damaged"),
    (flip(CONFIG, 0), ValueError, "The config.json of .* is not valid JSON"),
    (header(2**60), ValueError, "are damaged: .*, its header has 1,152,921,504,606,846,976 bytes"),
    (header(2**63 + 5), ValueError, "are damaged: .* its header has"),
    (header(MAX_HEADER_BYTES + 1, 2 * MAX_HEADER_BYTES), ValueError, "its header has 10,485,761 bytes"),
    (text(WEIGHTS, b""), ValueError, "The weights in .* are damaged"),
    (nan_weight, ValueError, "are not finite: 'decoder.conv_in.bias' holds NaN or infinity, as float32"),
    (index(a="../other.safetensors"), ValueError, "names '../other.safetensors': expected files in the same folder"),
    (index(a="/etc/other.safetensors"), ValueError, "expected files in the same folder"),
    (index(a="model.bin"), ValueError, "names model.bin: expected safetensors only"),
    (index(a="other.safetensors"), OSError, "does not hold other.safetensors, which its index names"),
    (index(**{str(n): f"{n}.safetensors" for n in range(1001)}), ValueError, "names 1001 files: expected at most 1000"),
    (text(WEIGHTS_INDEX, DEEP), ValueError, "is nested too deep"),
    (text(WEIGHTS_INDEX, "[]"), ValueError, "is damaged: expected a weight_map"),
    (text(CHECKSUMS, "not a checksum\n"), ValueError, "checksums.sha256 is damaged: expected lines"),
    (text(CHECKSUMS, f"{64 * '0'}  ../other\n"), ValueError, "checksums.sha256 is damaged: expected lines"),
    (text(CHECKSUMS, b"\xff"), ValueError, "checksums.sha256 is not text in UTF-8"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), SAVED, ids=[sentence[-40:] for *_, sentence in SAVED])
def test_saved_models(saved, folder, change, error, sentence):
    change(Path(shutil.copytree(saved, folder / "model")))
    refused(lambda: AutoSmokeModel.from_pretrained("./model"), error, sentence)


SETTINGS = [
    (text(PROCESSOR, DEEP), ValueError, "The preprocessor_config.json of .* is nested too deep"),
    (text(PROCESSOR, "{"), ValueError, "is not valid JSON"),
    (text(PROCESSOR, "[1]"), ValueError, "does not hold the settings of a SmokeImageProcessor"),
    (
        text(PROCESSOR, '{"image_processor_type": "X"}'),
        ValueError,
        "does not hold the settings of a SmokeImageProcessor",
    ),
    (text(PROCESSOR, '{"size": 16, "do_resize": false}'), ValueError, "is damaged: its sha256 is"),
    (lambda folder: (folder / PROCESSOR).unlink(), OSError, "does not hold preprocessor_config.json"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), SETTINGS, ids=[sentence[-40:] for *_, sentence in SETTINGS])
def test_saved_processors(saved, folder, change, error, sentence):
    change(Path(shutil.copytree(saved, folder / "model")))
    refused(lambda: SmokeImageProcessor.from_pretrained("./model"), error, sentence)


def test_a_checksum_is_compared_only_if_asked_for_and_recorded(saved, folder):
    flip(WEIGHTS, -1)(Path(shutil.copytree(saved, folder / "model")))
    assert SmokeVQVAE.from_pretrained("./model", verify=False)
    (folder / "model" / CHECKSUMS).unlink()  # a model of an older version
    assert SmokeVQVAE.from_pretrained("./model")


# Files with frames


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""
    content = bytearray(png(FRAME))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    crc = zlib.crc32(bytes(content[12:29]))
    content[29:33] = crc.to_bytes(4, "big")
    return bytes(content)


def npy(shape: tuple, descr: str = "|u1", data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def npz(content: bytes, name: str = "frames.npy") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, content)
    return buffer.getvalue()


def write_clip(name: str, **options):
    return lambda folder: write_video(folder / name, **options)


CLIPS = [
    ("none.mp4", None, OSError, "The clip 'none.mp4' does not exist"),
    ("notes.txt", b"notes", ValueError, "ends in '.txt': expected"),
    ("clip.mp4", b"not a video", ValueError, "Cannot read 'clip.mp4'"),
    ("clip.mp4", b"", ValueError, "Cannot read 'clip.mp4'"),
    ("clip.npy", b"", ValueError, "Cannot read 'clip.npy'"),
    ("clip.npy", b"\x93NUMPY\x01\x00", ValueError, "Cannot read 'clip.npy'"),
    ("clip.npy", npy((10**12, 64, 64, 3)), ValueError, "takes more than 4,294,967,296 bytes"),
    ("clip.npy", npy((4, 16, 16, 3)), ValueError, "Cannot read 'clip.npy'"),
    ("clip.npy", npy((1,), "|O", b"cos\nsystem\n"), ValueError, "Cannot read 'clip.npy': Object arrays"),
    ("clip.npz", npz(npy((10**12, 64, 64, 3))), ValueError, "takes more than 4,294,967,296 bytes"),
    ("clip.npz", b"PK\x03\x04", ValueError, "Cannot read 'clip.npz'"),
    ("clip.npz", npz(b"text"), ValueError, "Cannot read 'clip.npz'"),
    ("images/a.png", bomb(60_000, 60_000), ValueError, "is not an image, or is damaged: .*bomb"),
    (
        "images/a.png",
        bomb(10_000, 10_000),
        ValueError,
        "a.png' has 10000x10000 pixels: expected at most 89,478,485",
    ),
    ("images/a.png", png(FRAME)[:-40], ValueError, "'images/a.png' is not an image, or is damaged"),
    ("images/a.png", b"text", ValueError, "'images/a.png' is not an image, or is damaged"),
    ("images/a.txt", b"text", OSError, "The folder 'images' contains no images"),
]


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize(
    ("name", "content", "error", "sentence"), CLIPS, ids=[sentence[-40:] for *_, sentence in CLIPS]
)
def test_clips(folder, name, content, error, sentence):
    if content is not None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    refused(lambda: read_clip(name.split("/")[0]), error, sentence)


def test_videos_that_are_too_large_for_memory(folder, monkeypatch):
    write_video(folder / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)] * 8)
    monkeypatch.setattr("smoke_vq.preparation.matting.video.MAX_CLIP_BYTES", 5 * 48 * 64 * 3)
    refused(lambda: read_video("clip.mp4"), ValueError, "'clip.mp4' takes more than .* from frame 6 on")
    assert len(read_video("clip.mp4", max_frames=5)) == 5
    monkeypatch.setattr("smoke_vq.limits.MAX_IMAGE_PIXELS", 48 * 64 - 1)
    refused(lambda: video_info("clip.mp4"), ValueError, "A frame of 'clip.mp4' has 64x48 pixels")


PACKED = [
    (b"", "is not a complete safetensors file"),
    ((2**50).to_bytes(8, "little") + b"{}", "its header has 1,125,899,906,842,624 bytes"),
    ({"frames": torch.zeros(2, 16, 16, 3, dtype=torch.uint8)}, "has no tensor 'images'"),
    ({"images": torch.zeros(2, 16, 16, 3)}, "uint8 tensor of at least one frame, found torch.float32"),
    ({"images": torch.zeros(0, 16, 16, 3, dtype=torch.uint8)}, "of at least one frame"),
    ({"images": torch.zeros(2, 8, 8, 3, dtype=torch.uint8)}, "holds frames of 8x8: expected 16x16"),
    (
        {"images": torch.zeros(2, 16, 16, 3, dtype=torch.uint8), "alphas": torch.zeros(1, 16, 16, dtype=torch.uint8)},
        "expected alphas of",
    ),
]


@pytest.mark.parametrize(("content", "sentence"), PACKED, ids=[sentence[:40] for _, sentence in PACKED])
def test_packed_files(folder, content, sentence):
    file = folder / "train.safetensors"
    file.write_bytes(content) if isinstance(content, bytes) else save_file(content, file)
    refused(lambda: load_frames("train.safetensors", size=SIZE), ValueError, sentence)


# Datasets


def parquet(rows: list[dict], name: str = "image"):
    def write(folder: Path) -> None:
        from datasets import Dataset, Features
        from datasets import Image as ImageColumn

        (folder / "smoke/data").mkdir(parents=True)
        table = Dataset.from_dict({name: rows}, features=Features({name: ImageColumn()})).data.table
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, folder / "smoke/data/train-00000-of-00001.parquet")

    return write


def damaged_parquet(folder: Path) -> None:
    parquet([{"bytes": png(FRAME), "path": None}])(folder)
    (file,) = (folder / "smoke/data").iterdir()
    file.write_bytes(file.read_bytes()[:-30])


def elsewhere(folder: Path) -> None:
    (folder / "secret.png").write_bytes(png(FRAME))
    parquet([{"bytes": None, "path": str(folder / "secret.png")}])(folder)


def above(folder: Path) -> None:
    (folder / "secret.png").write_bytes(png(FRAME))
    (folder / "smoke/data").mkdir(parents=True)
    parquet([{"bytes": None, "path": "smoke/../secret.png"}])(folder / "x")
    shutil.copytree(folder / "x/smoke", folder / "smoke", dirs_exist_ok=True)


def script(folder: Path) -> None:
    (folder / "smoke").mkdir()
    (folder / "smoke/smoke.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")


DATASETS = [
    (lambda folder: None, OSError, "There is no dataset at ./smoke"),
    (lambda folder: (folder / "smoke").mkdir(), OSError, "The dataset folder ./smoke is empty"),
    (damaged_parquet, ValueError, "./smoke cannot be read as a dataset"),
    (elsewhere, ValueError, "./smoke names '.*secret.png' as an image, outside its own folder: it is not read"),
    (above, ValueError, "./smoke names 'smoke/../secret.png' as an image, outside its own folder"),
    (parquet([{"bytes": None, "path": "http://127.0.0.1/a.png"}]), ValueError, "outside its own folder"),
    (parquet([{"bytes": b"text", "path": None}]), ValueError, "Row 0 of split 'train' of ./smoke cannot be decoded"),
    (parquet([{"bytes": bomb(60_000, 60_000), "path": None}]), ValueError, "Row 0 of .* cannot be decoded: .*bomb"),
    (parquet([{"bytes": png(FRAME[:8]), "path": None}]), ValueError, "Row 0 of .*, column 'image': Expected frames"),
    (parquet([{"bytes": png(FRAME), "path": None}], "picture"), ValueError, "has no column 'image'"),
    (script, ValueError, "./smoke cannot be read as a dataset: Dataset scripts are no longer supported"),
]


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize(("write", "error", "sentence"), DATASETS, ids=[sentence[-40:] for *_, sentence in DATASETS])
def test_datasets(folder, write, error, sentence):
    write(folder)
    refused(lambda: load_frames("./smoke", size=SIZE), error, sentence)
    assert not (folder / "ran").exists()


CODE_SETTINGS = [
    ("", "expected a JSON object, found an empty file"),
    ("{", "found text that is not JSON"),
    (DEEP, "found one that is nested too deep"),
    (" " * (MAX_TEXT_BYTES + 1), "expected at most 8,388,608 bytes, found 8,388,609"),
    ("[1]", r"expected a JSON object, found \[1\]"),
    ('{"latents": 3}', "expected 'latents' to be true or false, found 3"),
]


@pytest.mark.parametrize(("content", "sentence"), CODE_SETTINGS, ids=[sentence[:40] for _, sentence in CODE_SETTINGS])
def test_settings_of_datasets(folder, content, sentence):
    (folder / "settings.json").write_text(content)
    refused(lambda: read_settings(folder, {"latents": bool}), ValueError, sentence)


# YAML files and flags

YAML = [
    ("dataset: [", "is not valid YAML"),
    ("- a", "expects a mapping of keys to values, found list"),
    ("", "expects a mapping of keys to values, found NoneType"),
    ("!!python/object/apply:os.system ['true']", "is not valid YAML: could not determine a constructor"),
    ("datset: d", "unknown key 'datset' .did you mean 'dataset'"),
    ("lr: fast", "invalid float value: 'fast'"),
    ("lr: [1, 2]", "lr expects a single value"),
    ("dataset: d\nmodel: 3", "model expects a mapping, found 3"),
    ("dataset: d\nbatch_size: 0", "batch_size expects 1 or more"),
    ("dataset: d\nepochs: null", "epochs expects a value, found null"),
]
FLAGS = [
    ("--lr nan --dataset d", "lr expects"),
    ("--dataset d --batch-size -1", "batch_size expects 1 or more, found -1"),
    ("--datset d", "Unknown flag '--datset'"),
    ("--dataset d --model 8", "--model expects a mapping, found 8"),
    ("--dataset d --model.latent_channels [8", "expects a YAML value"),
    ("--config none.yaml", "The configuration file none.yaml does not exist"),
]


@pytest.mark.parametrize(("content", "sentence"), YAML, ids=[sentence[:40] for _, sentence in YAML])
def test_yaml_files(folder, content, sentence):
    (folder / "config.yaml").write_text(content)
    refused(lambda: parse_arguments(VQVAEArguments, ["--config", "config.yaml"]), ValueError, sentence)


@pytest.mark.parametrize(("flags", "sentence"), FLAGS, ids=[sentence[:40] for _, sentence in FLAGS])
def test_flags(flags, sentence):
    refused(lambda: parse_arguments(VQVAEArguments, flags.split()), (ValueError, OSError), sentence)


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True, None, float("nan")], ids=str)
def test_counts(value):
    refused(lambda: check_count("steps", value), ValueError, "steps expects a whole number of 1 or more")


# Publishing


def linked(folder: Path) -> None:
    (folder / "secret.json").write_text('{"password": "x"}')
    (folder / "model/training.json").symlink_to(folder / "secret.json")


PUBLISHED = [
    (
        linked,
        lambda: published_files(Path("model"), MODEL_FILES),
        "training.json is a link to .*secret.json, outside",
    ),
    (linked, lambda: stage_model("model").__enter__(), "training.json is a link to .*, outside the folder"),
    (text("model/metrics.json", '{"this model": {"psnr": "<b>"}}'), lambda: write_card(Path("model")), "psnr = '<b>'"),
    (text("model/metrics.json", "[1]"), lambda: write_card(Path("model")), "does not hold a JSON object: found a list"),
    (text("model/metrics.json", DEEP), lambda: write_card(Path("model")), "is nested too deep"),
    (text("model/training.json", '{"seconds": "x"}'), lambda: write_card(Path("model")), "No card can be written from"),
    (text("model/training_arguments.yaml", "[" * 10_000), lambda: write_card(Path("model")), "is nested too deep"),
    (text("notes.txt", ""), lambda: push_dataset(".", "user/data"), "does not hold a prepared dataset"),
]


@pytest.mark.parametrize(("change", "call", "sentence"), PUBLISHED, ids=[sentence[-40:] for *_, sentence in PUBLISHED])
def test_publishing(saved, folder, change, call, sentence):
    shutil.copytree(saved, folder / "model")
    change(folder)
    refused(call, ValueError, sentence)


def test_a_text_of_others_stays_a_text_in_a_card(saved, folder):
    evil = "x`](javascript:alert(1)) ![y](http://a/b.png) <script>z</script> | {{ 7 * 7 }} {% raw %}\n# Heading"
    data = {"name": evil, "title": evil, "split": evil, "revision": evil, "license": evil, "on_hub": False}
    facts = {
        **{"command": evil, "commit": evil, "modified": False, "hardware": evil, "step": 1, "finished": True},
        **{"versions": {"smoke_vq": evil, "torch": evil}, "training_data": [data], "validation_data": [data]},
        **{"base_model": None, "seconds": 1.0, "energy_kwh": None, "validation_frames": evil, "recipe": evil},
    }
    shutil.copytree(saved, folder / "model")
    (folder / "model/training.json").write_text(json.dumps(facts))
    write_card(Path("model"), repo_id="user/model")
    card = (folder / "model/README.md").read_text()
    body = card.split("\n---\n", 1)[1]
    outside = re.sub(r"`[^`\n]*`", "", body)
    for forbidden in (r"(?<!\\)\[[xy]", r"(?<!\\)<script", r"^# Heading"):
        assert not re.search(forbidden, outside, re.MULTILINE), forbidden
    assert "49" not in re.findall(r"hardware.*", body)[0]
    assert read_checksums(folder / "model").keys() >= {CONFIG, WEIGHTS, PROCESSOR, "training.json"}


# Answers of the Hub


def of_hub(**files: bytes):
    return lambda hub: hub.put("user/model", files)


def damaged_on_the_way(hub) -> None:
    hub.fault("GET .*config.json", flip=3)


ANSWERS = [
    (lambda hub: None, OSError, "'user/model' is neither a local folder nor a model on the Hub"),
    (lambda hub: hub.put("user/model", {"README.md": b""}), OSError, "on the Hub does not hold config.json"),
    (
        lambda hub: hub.put("user/model", {CONFIG: b"{", WEIGHTS: b""}),
        ValueError,
        "The config.json of user/model is not",
    ),
    (lambda hub: hub.put("user/model", {CONFIG: DEEP.encode(), WEIGHTS: b""}), ValueError, "is nested too deep"),
    (lambda hub: hub.put("user/model", {CONFIG: b"{}", WEIGHTS: b""}), ValueError, "does not name a model class"),
    (
        lambda hub: hub.put("user/model", {CONFIG: b"{}", "model.bin": b""}),
        OSError,
        "does not hold diffusion_pytorch_model",
    ),
    (lambda hub: hub.fault(".*", status=500), OSError, "does not answer|failed|incomplete in the cache"),
    (lambda hub: hub.fault(".*", status=403), OSError, "user/model"),
    (lambda hub: hub.fault(".*", status=404), OSError, "user/model"),
    (lambda hub: hub.fault(".*", drop=True), OSError, "does not answer|failed"),
]


@pytest.mark.parametrize(("answer", "error", "sentence"), ANSWERS, ids=[sentence[-40:] for *_, sentence in ANSWERS])
def test_answers_of_the_hub(hub, caplog, capsys, answer, error, sentence):
    answer(hub)
    refused(lambda: AutoSmokeModel.from_pretrained("user/model"), error, sentence)
    said = caplog.text + "".join(capsys.readouterr())
    assert "hf_test" not in said, "the token of the client"


PIPELINES = [
    ("{", "The model_index.json of .* is not valid JSON"),
    (DEEP, "The model_index.json of .* is nested too deep"),
    ('{"_class_name": "StableDiffusionPipeline"}', "holds a StableDiffusionPipeline: expected a SmokeForecastPipeline"),
    ('{"_class_name": "SmokeForecastPipeline", "x": ["os", "system"]}', "has the part 'x', which"),
    ('{"_class_name": "SmokeForecastPipeline"}', "does not name a part"),
]


@pytest.mark.parametrize(("content", "sentence"), PIPELINES, ids=[sentence[-40:] for _, sentence in PIPELINES])
def test_saved_pipelines(folder, content, sentence):
    (folder / "model_index.json").write_text(content)
    refused(lambda: SmokeForecastPipeline.from_pretrained(folder), ValueError, sentence)


def test_the_matrix_has_at_least_120_cases():
    tables = (TENSORS, CONFIGURATIONS, QUANTIZERS, IMAGES, PROCESSOR_CALLS, SAVED, SETTINGS, CLIPS, PACKED, DATASETS)
    tables += (CODE_SETTINGS, YAML, FLAGS, PUBLISHED, ANSWERS, PIPELINES)
    assert sum(map(len, tables)) >= 120
    assert MAX_IMAGE_PIXELS == Image.MAX_IMAGE_PIXELS and PackedFrames
