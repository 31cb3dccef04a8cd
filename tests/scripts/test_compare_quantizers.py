"""scripts/compare_quantizers.py: two variants, two seeds, interrupted and continued."""

import json
import math
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from training_runs import MODEL, ROOT, Script, on_one_core, run, smoke

from smoke_vq import SmokeVQVAE
from smoke_vq.quantizers import VectorQuantizer

SIZE = 32  # the smallest for LPIPS on AlexNet is 31
TINY = {
    "batch_size": 8,
    "max_steps": 10,
    "warmup_steps": 1,
    "continuous_steps": 2,
    "codebook_init_vectors": 512,
    "checkpointing_steps": 2,
    "num_threads": 1,
    "model": MODEL | {"sample_size": SIZE},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Frames, weights of AlexNet and a base configuration."""
    from safetensors.torch import save_file

    from smoke_vq.losses.backbone_weights import expected_shapes

    folder = tmp_path_factory.mktemp("comparison")
    (folder / "data").mkdir()
    smoke(40, size=SIZE).save(folder / "data/train.safetensors")
    smoke(10, seed=1, size=SIZE).save(folder / "data/validation.safetensors")
    torch.manual_seed(0)
    weights = {name: 0.1 * torch.randn(shape) for name, shape in expected_shapes("alexnet").items()}
    save_file(weights, folder / "alexnet.safetensors")
    (folder / "base.yaml").write_text(yaml.safe_dump(TINY))
    return folder


def start(folder: Path, flags: str) -> Script:
    base = f"--config {folder / 'base.yaml'} --dataset {folder / 'data'} --output-dir {folder / 'out'}"
    words = [ROOT / "scripts/compare_quantizers.py", *base.split(), *flags.split()]
    return Script(words, on_one_core(SMOKE_VQ_ALEXNET=str(folder / "alexnet.safetensors")))


def test_two_variants_and_two_seeds_continue_after_an_interruption(folder):
    out, flags = folder / "out", "--variants vq vq_rotation --seeds 0 1"
    process = start(folder, flags)
    while process.is_running and not (out / "runs/vq_rotation_0/history.jsonl").is_file():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    stopped = process.wait(100)
    assert stopped.code == 130, stopped.err
    assert (out / "runs/vq_0/figures.json").is_file() and not (out / "results.json").exists()
    assert not (out / "runs/vq_rotation_0/best/README.md").exists()
    before = (out / "runs/vq_0/best/README.md").stat().st_mtime_ns

    ended = start(folder, flags).wait(200)
    assert ended.code == 0, ended.err
    assert (out / "runs/vq_0/best/README.md").stat().st_mtime_ns == before, "a complete run is not trained again"
    assert not (out / "runs/vq_0/checkpoints").exists()
    results = json.loads((out / "results.json").read_text())
    assert list(results["variants"]) == ["vq", "vq_rotation"] and results["failed"] == {}
    for name, one in results["variants"].items():
        assert set(one["runs"]) == {"0", "1"}
        error = [run["masked_mse"] for run in one["runs"].values()]
        mean = {"mean": pytest.approx(np.mean(error)), "std": pytest.approx(np.std(error, ddof=1))}
        assert one["over_seeds"]["masked_mse"] == mean
        assert one["over_seeds"]["bits"]["mean"] == 16 * 16 * 5 > one["over_seeds"]["entropy_bits"]["mean"]
        assert {"lpips_alex", "spectrum_high", "smoke_perplexity", "hue_error", "wave_2"} <= set(one["over_seeds"])
        assert ("differences" in one) == (name == "vq_rotation")
    first, second = ([run["psnr"] for run in one["runs"].values()] for one in results["variants"].values())
    change = np.subtract(second, first)
    expected = {"mean": pytest.approx(np.mean(change)), "std": pytest.approx(np.std(change, ddof=1))}
    assert results["variants"]["vq_rotation"]["differences"]["psnr"] == expected
    assert {"thumbnail", "WebP", "JPEG"} <= set(results["codecs"])
    assert results["codecs"]["thumbnail"]["8x8"]["bits"] == 8 * 8 * 3 * 8
    assert (out / "table.md").read_text().strip() in ended.out and "| vq_rotation |" in ended.out
    assert Image.open(out / "rate_distortion.png").width > 1000


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--variants vq nothing", "Unknown variant 'nothing'"),
        ("--variants vq --max-frames 5", "protocol.json is that of another comparison"),
        ("--variants vq --max-frames 0", "max_frames expects a whole number of 1 or more, found 0"),
        ("--variants vq --learning-rte 1", "Unknown flag '--learning-rte'"),
        ("--variants-dir {folder}/variants --variants typo", "typo.yaml has the unknown key 'modle'"),
        ("--variants-dir {folder}/variants --variants other", "other.yaml: Unknown quantizer 'fqs'"),
    ],
)
def test_mistakes_are_refused_before_the_first_training(folder, flags, message, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("SMOKE_VQ_ALEXNET", str(folder / "alexnet.safetensors"))
    for path, text in {
        "variants/typo.yaml": "modle: {}",
        "variants/other.yaml": "model: {quantizer_type: fqs}",
        "refused/configurations/protocol.json": "{}",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    base = f"--config {folder / 'base.yaml'} --dataset {folder / 'data'} --output-dir {folder / 'refused'}"
    ended = run("compare_quantizers.py", f"{base} {flags.format(folder=folder)}")
    assert ended.code == 2 and message in ended.err and len(ended.err.strip().splitlines()) == 1
    assert not (folder / "refused/runs").exists()


def test_the_variants_of_the_repository_have_640_bits_and_the_same_encoder(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from comparisons.variants import read_variants

    folder = ROOT / "configs/quantizers"
    variants = read_variants([folder], None, ROOT / "configs/config_vqvae_compare.yaml")
    assert next(iter(variants)) == "vq"
    torch.manual_seed(0)
    expected = SmokeVQVAE(**variants["vq"]["model"]).encoder.state_dict()
    for name, variant in variants.items():
        torch.manual_seed(0)
        model = SmokeVQVAE(**variant["model"])
        same = [torch.equal(value, expected[key]) for key, value in model.encoder.state_dict().items()]
        assert all(same), f"{name} has another encoder with the same seed"
        indices = model.encode(torch.zeros(1, 3, 64, 64)).indices
        assert indices.numel() * math.log2(model.quantizer.num_codes) == 640, name


def test_the_recipes_of_the_repository_are_variants_of_the_same_base(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from comparisons.variants import read_variants

    names = sorted(path.stem for path in (ROOT / "configs/recipes").glob("*.yaml"))
    variants = read_variants([ROOT / "configs/recipes"], names, ROOT / "configs/config_vqvae_compare.yaml")
    settings = {name: (own.get("optimizer"), float(own.get("smoke_sampling", 0))) for name, own in variants.items()}
    assert settings["base"] == ("adamw", 0.0) and settings["muon_sampling"] == ("muon", 0.5)
    assert all(own["model"] == variants["base"]["model"] for own in variants.values())


def test_quantizers_of_other_libraries(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from comparisons.peers import DiffusersQuantizer

    ours, latents = VectorQuantizer(32, 8), torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    theirs = DiffusersQuantizer(32, 8, legacy=False)
    theirs.inner.embedding.weight.data.copy_(ours.codebook.data)
    output, expected = theirs(latents), ours(latents)
    assert torch.equal(output.indices, expected.indices)
    torch.testing.assert_close(output.quantized, expected.quantized)
    torch.testing.assert_close(theirs.embed(output.indices), expected.quantized)
    loss = expected.losses["codebook"] + 0.25 * expected.losses["commitment"]
    torch.testing.assert_close(output.losses["quantization"], loss)
