"""What runs on a Mac's GPU, which has no float64, by the stand-in of mac_gpu.py."""

import json

import numpy as np
import pytest
import torch
from forecasters import make_pipeline, pipeline  # noqa: F401
from mac_gpu import DEVICE, MacTensor, mac_gpu
from training_runs import FLAGS, run, smoke, vgg16_weights  # noqa: F401

from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.float64 import finest_dtype, to_float64
from smoke_vq.metrics import METRICS, Batch, LatentFidelity, make_metrics
from smoke_vq.quantizers import QUANTIZERS
from smoke_vq.quantizers.kmeans import kmeans

KEYWORDS = {
    "fsq": {"levels": [8, 4]},
    "residual": {"quantizer": "vq", "depth": 2},
    "grouped": {"quantizer": "vq", "num_groups": 2},
}
MEASURED = [name for name in METRICS if name not in ("lpips", "fid", "latents")]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of two clips of 12 frames in either split."""
    folder = tmp_path_factory.mktemp("clips")
    for seed, split in enumerate(("train", "validation")):
        frames = smoke(24, seed)
        PackedFrames(frames.images, frames.alphas, "blobs", torch.arange(24) // 12).save(
            folder / f"{split}.safetensors"
        )
    return folder


@pytest.fixture(scope="module")
def trained(clips, vgg16_weights, tmp_path_factory):  # noqa: F811
    """The folder of a model that the stand-in has trained, with the discriminator from step 2, in two parts."""
    folder = tmp_path_factory.mktemp("mac")
    flags = (
        f"--dataset {clips} --output-dir {folder} --perceptual-weights {vgg16_weights} {FLAGS} --epochs 2 "
        f"--disc-start 2 --disc-warmup-steps 1 --discriminator.num_layers 1 --discriminator.base_channels 8"
    )
    for more in ("--max-steps 3", "--max-steps 6 --resume-from-checkpoint latest"):
        with mac_gpu():
            ended = run("train_vqgan.py", f"{flags} {more}")
        assert ended.code == 0, ended.err
    return folder / "run/best"


def test_the_stand_in_has_no_float64_and_mixes_no_devices():
    with mac_gpu():
        ones = torch.ones(2, 3, device=DEVICE)
        assert isinstance(ones.sum() * torch.rand(3, device=DEVICE), MacTensor)
        assert ones.cpu().double().sum() == 6
        for bad in (
            lambda: ones.double(),
            lambda: ones.sum(dtype=torch.float64),
            lambda: torch.zeros(1, dtype=torch.float64, device=DEVICE),
            lambda: torch.tensor([1.0], dtype=torch.float64).to(DEVICE),
        ):
            with pytest.raises(TypeError, match="a Mac's GPU has no float64"):
                bad()
        with pytest.raises(RuntimeError, match="expected all tensors on one device"):
            ones + torch.ones(2, 3)


def test_sums_are_in_float64_on_the_cpu_or_stay_on_the_device():
    with mac_gpu():
        moved = to_float64(torch.ones(2, device=DEVICE))
    assert moved.device.type == "cpu" and moved.dtype == torch.float64
    assert finest_dtype(DEVICE) == finest_dtype(torch.device("mps")) == torch.float32
    assert finest_dtype(torch.device("cpu")) == finest_dtype(torch.device("cuda")) == torch.float64


def test_a_training_with_validation_evaluation_and_checkpoints_has_the_figures_of_the_cpu(trained, clips, tmp_path):
    ended = run("evaluate.py", f"--model {trained} --dataset {clips} --output-dir {tmp_path}")
    assert ended.code == 0, ended.err
    expected = json.loads((tmp_path / "metrics.json").read_text())["best"]
    found = json.loads((trained / "metrics.json").read_text())["this model"]
    common = [name for name, value in expected.items() if value is not None and name in found]
    assert len(common) > 20
    assert {name: found[name] for name in common} == pytest.approx({name: expected[name] for name in common}, rel=1e-4)


def test_a_projection_and_a_forecaster_train(trained, clips, tmp_path):
    common = f"--dataset {clips} --output-dir {tmp_path} --batch-size 8 --max-steps 2 --warmup-steps 1 --num-threads 1"
    with mac_gpu():
        projection = run(
            "train_latent_projection.py",
            f"--autoencoder {trained} {common} --run-name projection --model.projected_channels 2 "
            f"--model.hidden_channels 8",
        )
        assert projection.code == 0, projection.err
        forecaster = run(
            "train_flow_matching.py",
            f"--autoencoder {trained} --projection {tmp_path}/projection/best {common} --run-name forecaster "
            f"--num-samples 2 --num-inference-steps 2 --forecast-frames 4 --model.in_channels 2 "
            f"--model.num_previous 2 --model.num_frames 3 --model.num_layers 1 --model.num_attention_heads 2 "
            f"--model.attention_head_dim 8",
        )
        assert forecaster.code == 0, forecaster.err


def test_codes_reconstructions_and_forecasts(trained, clips, pipeline, tmp_path):  # noqa: F811
    np.save(tmp_path / "clip.npy", smoke(8).images.numpy())
    pipeline.save_pretrained(tmp_path / "forecaster")
    for script, flags in {
        "encode_dataset.py": f"--model {trained} --dataset {clips} --latents --output-dir {tmp_path}/codes",
        "decode_dataset.py": f"--model {trained} --input-dir {tmp_path}/codes --output-dir {tmp_path}/decoded",
        "reconstruct.py": f"{tmp_path}/clip.npy --model {trained} --cut-out no --formats gif --device {DEVICE} "
        f"--output-dir {tmp_path}",
        "predict.py": f"--input {tmp_path}/clip.npy --model {tmp_path}/forecaster --num-frames 3 --device {DEVICE} "
        f"--num-inference-steps 2 --output {tmp_path}/forecast.gif",
    }.items():
        with mac_gpu():
            ended = run(script, flags)
        assert ended.code == 0, (script, ended.err)


@pytest.mark.parametrize("quantizer", list(QUANTIZERS))
def test_quantizers(quantizer):
    latents = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    module = QUANTIZERS[quantizer](32, 8, **KEYWORDS.get(quantizer, {})).train()
    expected = module(latents).indices
    with mac_gpu():
        output = module.to(DEVICE)(latents.to(DEVICE).requires_grad_())
        sum((output.losses or {}).values(), output.quantized.sum()).backward()
        assert torch.equal(output.indices.cpu(), expected)
        assert torch.isfinite(kmeans(latents.to(DEVICE).flatten(0, 2), 3)).all().item()


def test_metrics_are_those_of_the_cpu():
    frames, processor = smoke(6, size=32), SmokeImageProcessor(size=32)
    target = processor.to_pixel_values(frames.images)
    sample = (target + 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    values = dict(
        sample=sample,
        target=target,
        mask=processor.to_mask(target, frames.alphas),
        sequence=torch.zeros(6, dtype=torch.int64),
        indices=torch.randint(16, (6, 4, 4), generator=torch.Generator().manual_seed(0)),
        latents=sample[:, :, ::8, ::8],
        target_latents=target[:, :, ::8, ::8],
        num_bytes=torch.full((6,), 8.0),
    )

    def figures(place) -> dict:
        found = {}
        for metric in [*make_metrics(MEASURED), LatentFidelity()]:
            metric.update(Batch(num_codes=16, **{name: tensor.to(place) for name, tensor in values.items()}))
            metric.gather(lambda kept: kept.cpu())
            found |= metric.compute()
        return found

    with mac_gpu():
        found = figures(DEVICE)
    expected = figures("cpu")
    assert len(expected) > 25 and found == pytest.approx(expected, rel=1e-6)
