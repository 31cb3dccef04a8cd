"""Which packages are imported, and what works without optional packages."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import smoke_vq
from smoke_vq.data.frames import PackedFrames
from smoke_vq.models.vqvae import SmokeVQVAE

HEAVY = ["datasets", "pyarrow", "lpips", "av", "pymatting", "cv2", "gradio", "torchmetrics", "pandas", "matplotlib"]


def python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def loaded_by(code: str, names: list[str]) -> list[str]:
    """The named packages that a process has imported after running the code."""
    return python(f"import sys\n{code}\nprint(*[name for name in {names} if name in sys.modules])").split()


def test_the_import_alone_loads_nothing():
    assert (
        loaded_by("import smoke_vq; smoke_vq.NANO_MODEL; dir(smoke_vq)", ["torch", "diffusers", "numpy", *HEAVY]) == []
    )


def test_a_model_loads_torch_and_diffusers_only():
    """It used to import only `smoke_vq`, which loads nothing, and so could not fail."""
    code = """
from smoke_vq import NANO_MODEL, QUANTIZERS, PlumeSettings, SmokeVQVAE, image_grid, masked_mse, simulate_plumes
SmokeVQVAE.from_pretrained(NANO_MODEL)
"""
    assert loaded_by(code, ["torch", "diffusers", *HEAVY]) == ["torch", "diffusers"]


# Each slip and each page of help: without torch, or without the packages that take longest to import.
WITHOUT_TORCH = [
    "reconstruct missing.mp4",
    "reconstruct notes.txt --fps 12",
    "reconstruct clip.npz --fps 0",
    "reconstruct --help",
    "prepare --help",
    "demo --help",
    "train vqvae --config nosuch.yaml",
    "train vqvae --config tiney",
    "train vqgan --datset x",
    "train flow-matching --lr many",
    "train latent-projection --help",
    "train vqvae --model.latent_chanels 8",
    "train vqgan --discriminator.num_layers many",
    "train flow-matching --model.depht 3",
    "train vqvae --dataset data --model.sample_size 60",
    "train vqgan --dataset data --model.in_channels 4",
    "train vqvae --dataset data --init-from nano --model.latent_channels 8",
    "reconstruct damaged.mp4",
    "reconstruct clip.npz --output-dir notes.txt",
]
WITHOUT_DIFFUSERS = [
    "encode --model nano --batch-size 0 --dataset data --output-dir out",
    "reconstruct clip.npz --model runs/tinny",
    "evaluate --models nnano --dataset data",
    "evaluate --models nano --dataset data/rise64",
    "evaluate --models nano --dataset data --metrics beauty",
    "predict --input clip.npz --sampler eular",
    "predict --input clip.npz --model runs/tinny",
    "evaluate-forecast --dataset data --models runs/tinny",
    "encode --model nano --dataset data/rise64 --output-dir out",
    "decode --model nano --input-dir codes --output-dir out",
    "measure-latents --model runs/tinny --dataset data --output-dir out",
    "push --folder runs/tiny/best --repo-id user/smoke",
    "export --model runs/tinny --output-dir out",
    "train vqvae --dataset data/rise64 --model.latent_channels 8",
    "evaluate --models runs --dataset data",
    "evaluate --models nano --dataset train.safetensors",
    "encode --model nano --dataset train.safetensors --output-dir out",
    "encode --model nano_forecaster --dataset data --output-dir out",
    "reconstruct clip.npz --model runs",
    "predict --input clip.npz --model nano",
    "decode --model nano --input-dir runs --output-dir out",
    "train vqvae --dataset train.safetensors --init-from nano",
    "train vqvae --dataset train.safetensors --model.sample_size 32",
    "train vqgan --dataset train.safetensors --init-from nano_forecaster",
    "train latent-projection --dataset train.safetensors --autoencoder nano",
    "train vqvae --dataset simulated:smal",
    "train vqvae --dataset rise/rise64",
    "train vqgan --dataset data/rise64 --init-from runs/tinny",
    "train flow-matching --dataset data/rise64",
    "train vqvae --dataset notes.txt",
    "train vqvae --dataset train.safetensors --model.quantizer_type fqs",
    "train vqgan --dataset train.safetensors --model.quantizer_kwargs {levels:[8,8]}",
    "train vqvae --dataset train.safetensors --quantizer-loss-weights.comit 1",
    "train vqvae --dataset train.safetensors --model.sample_size 16 --batch-size 8",
    "train vqvae --dataset train.safetensors --model.sample_size 16 --batch-size 1",
    "train flow-matching --dataset train.safetensors --model.coupling lineer",
    "train flow-matching --dataset train.safetensors --model.prediction_type frames",
    "predict --input small.npz",
    "predict --input small.npz --observed 20 --resize",
    "compare-datasets --help",
    "pack --help",
    "simulate --help",
    *("evaluate --help", "predict --help", "push --help"),
]


@pytest.mark.parametrize(
    ("commands", "heavy"),
    [(WITHOUT_TORCH, ["torch"]), (WITHOUT_DIFFUSERS, ["diffusers", "torchvision"])],
    ids=["torch", "diffusers"],
)
def test_slips_and_help_do_not_wait_for_heavy_packages(tmp_path, monkeypatch, commands, heavy):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "runs").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.txt").touch()
    (tmp_path / "clip.npz").touch()
    (tmp_path / "damaged.mp4").write_bytes(b"nothing")
    np.savez(tmp_path / "small.npz", frames=np.zeros((3, 16, 16, 3), np.uint8))
    PackedFrames(torch.zeros(1, 16, 16, 3, dtype=torch.uint8)).save(tmp_path / "train.safetensors")
    code = f"""
import contextlib, io
from smoke_vq import cli
for command in {commands}:
    sys.argv, err = ["smoke-vq", *command.split()], io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
    assert code == (0 if "--help" in command else 2), (command, code, err.getvalue())
    found = [name for name in {heavy} if name in sys.modules]
    assert not found, (command, found, err.getvalue())
"""
    loaded_by(code, [])


def test_every_name_is_available():
    assert set(smoke_vq.__all__) == {
        "NANO_FORECASTER",
        "NANO_MODEL",
        "NANO_SHARP",
        "NANO_VQGAN",
        "__version__",
        *smoke_vq._MODULES,
    }
    for name in smoke_vq.__all__:
        assert getattr(smoke_vq, name) is not None and name in dir(smoke_vq)
    assert smoke_vq.SmokeVQVAE is SmokeVQVAE and smoke_vq.QUANTIZERS["vq"]
    with pytest.raises(AttributeError, match="has no attribute 'SmokeVAE'"):
        smoke_vq.SmokeVAE  # noqa: B018


def test_packed_frames_need_no_datasets(tmp_path, tiny_frames):
    tiny_frames.save(tmp_path / "train.safetensors")
    code = f"""
import sys
sys.modules["datasets"] = sys.modules["pyarrow"] = None
from smoke_vq import SmokeImageProcessor, load_frames
from smoke_vq.data.loader import FrameLoader
loader = FrameLoader(load_frames({str(tmp_path)!r}, size=16), SmokeImageProcessor(size=16), batch_size=8, shuffle=True)
print([tuple(batch["pixel_values"].shape) for batch in loader.epoch(0)])
"""
    assert python(code).strip() == str([(8, 3, 16, 16)] * 3)
    assert torch.equal(PackedFrames.load(tmp_path / "train.safetensors").images, tiny_frames.images)
