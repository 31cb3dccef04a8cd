"""Which packages are imported, and what works without optional packages."""

import subprocess
import sys

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


def test_every_name_is_available():
    assert set(smoke_vq.__all__) == {"NANO_FORECASTER", "NANO_MODEL", "__version__", *smoke_vq._MODULES}
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
