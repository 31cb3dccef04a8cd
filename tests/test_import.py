"""What an import costs, and what works on a bare machine."""

import subprocess
import sys

import torch

from smoke_vq.data.frames import PackedFrames

HEAVY = ["datasets", "pyarrow", "lpips", "av", "pymatting", "cv2", "gradio", "torchmetrics", "pandas", "matplotlib"]


def python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_loads_only_torch_and_diffusers():
    loaded = python(f"import sys, smoke_vq; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded.strip() == "[]"


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
