"""Runs of the real scripts on tiny data, in this process or, for tests that kill them, in another one."""

import contextlib
import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from forked import ROOT, Ended, Script, ranks

from smoke_vq.data.frames import PackedFrames
from smoke_vq.training import run_log
from smoke_vq.training.recipes import codebook_health

SIZE = 16
MODEL = {
    "sample_size": SIZE,
    "latent_channels": 8,
    "encoder_block_out_channels": [8, 16],
    "decoder_block_out_channels": [16, 8],
    "layers_per_block": 1,
    "num_vq_embeddings": 32,
}
# 40 frames in batches of 8: 5 steps per epoch, 15 in total. Checkpoints every 4 steps are in the middle of epochs.
FLAGS = (
    "--batch-size 8 --epochs 3 --lr 1e-3 --warmup-steps 2 --codebook-init-vectors 512 --revival-steps 3 --num-images 3 "
    "--logging-steps 1 --checkpointing-steps 4 --checkpointing-epochs 1 --num-threads 1 "
) + " ".join(f"--model.{key} {json.dumps(value, separators=(',', ':'))}" for key, value in MODEL.items())

# Runs a script that sends itself a signal after the losses of a step are recorded.
DRIVER = """
import os, runpy, signal, sys
from smoke_vq.training import run_log
from smoke_vq.training.recipes import codebook_health

codebook_health.USAGE_DECAY = 0.2  # codes become unused within the few steps of a test
number, step, sys.argv = signal.Signals[sys.argv[1]], int(sys.argv[2]), sys.argv[3:]
add = run_log.History.add

def add_and_signal(self, at, figures):
    add(self, at, figures)
    if at == step and "train/total" in figures and os.environ.get("RANK", "0") == "0":
        os.kill(os.getpid(), number)

run_log.History.add = add_and_signal
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Killed(BaseException):
    """Simulates a kill: the library does not catch it."""


def smoke(count: int, seed: int = 0, size: int = SIZE) -> PackedFrames:
    """Blobs of different sizes on black, with alpha."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    centre = rng.uniform(0.3, 0.7, (2, count, 1, 1))
    blob = np.clip(1 - rng.uniform(3, 30, (count, 1, 1)) * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2), 0, 1)
    images = (255 * blob[..., None] * rng.uniform(0.4, 1, (count, size, size, 3))).round().astype(np.uint8)
    alphas = (255 * blob).round().astype(np.uint8)
    return PackedFrames(torch.from_numpy(images), torch.from_numpy(alphas), "blobs")


def reset_accelerate() -> None:
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    PartialState._reset_state()


def run(script: str, flags: str) -> Ended:
    """Run a script in this process, as from the command line."""
    reset_accelerate()
    out, err, argv, code = io.StringIO(), io.StringIO(), sys.argv, 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = [str(ROOT / "scripts" / script), *flags.split()]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.argv = argv
        reset_accelerate()
    return Ended(code, out.getvalue(), err.getvalue())


def launch(words: list, check: bool = True, **environment: str) -> Ended:
    """Run Python with these words in a new process, on the CPU, in the root folder of the repository."""
    command, environment = [sys.executable, *map(str, words)], on_one_core(**environment)
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    if check:
        assert ended.returncode == 0, ended.stderr[-3000:]
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def fork(words: list, check: bool = True, processes: int = 1, **environment: str) -> Ended:
    """Run a script as `launch` does, but forked from a process that has imported the libraries.

    Args:
        words: the script, or "-m" and a module, and its arguments.
        processes: started as torchrun does; the exit status is the first that is not 0.
    """
    each = ranks(processes) if processes > 1 else [{}]
    scripts = [Script(words, on_one_core(**environment, **own)) for own in each]
    try:
        all_ended = [script.wait() for script in scripts]
    finally:
        for script in scripts:
            script.kill()
    code = next((ended.code for ended in all_ended if ended.code), 0)
    out, err = "".join(ended.out for ended in all_ended), "".join(ended.err for ended in all_ended)
    assert code == 0 or not check, err[-3000:]
    return Ended(code, out, err)


def on_one_core(**changes: str) -> dict[str, str]:
    """The environment of a process that uses one core, with these changes."""
    return {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", **changes}


def signalled(script: str, flags: str, number: str, step: int, start=fork, **more) -> Ended:
    """Run a script that gets signal `number` (on its first process) after `step`; `start` is `fork` or `launch`."""
    driver = Path(flags.split("--output-dir ")[1].split()[0]) / "driver.py"
    driver.parent.mkdir(parents=True, exist_ok=True)
    driver.write_text(DRIVER)
    return start([driver, number, step, ROOT / "scripts" / script, *flags.split()], check=False, **more)


def history(folder: Path, kind: str = "train/") -> list[tuple]:
    """(step, name, value) of each loss or figure whose name starts with `kind`, in the order of the file."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [(line["step"], name, value) for line in lines for name, value in line.items() if name.startswith(kind)]


def weights(folder: Path) -> bytes:
    return (folder / "diffusion_pytorch_model.safetensors").read_bytes()


def assert_same_run(found: Path, expected: Path) -> None:
    """Check that losses, validation figures and exported weights are bit-identical."""
    for kind in ("train/", "validation/"):
        assert len(history(expected, kind)) > 0
        assert history(found, kind) == history(expected, kind)
    for name in ("best", "last"):
        assert weights(found / name) == weights(expected / name)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "blobs"
    folder.mkdir()
    smoke(40).save(folder / "train.safetensors")
    smoke(10, seed=1).save(folder / "validation.safetensors")
    return folder


@pytest.fixture(scope="session")
def vgg16_weights(tmp_path_factory) -> Path:
    """A file of random weights for VGG16, so that tests need no download."""
    from safetensors.torch import save_file

    from smoke_vq.losses.backbone_weights import expected_shapes

    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in expected_shapes("vgg16").items():
        scale = (2 / max(1, shape[1:].numel())) ** 0.5 if len(shape) > 1 else 0.1
        state[name] = (torch.randn(shape, generator=generator) * scale).half()
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    save_file(state, path)
    return path


@pytest.fixture
def train(data, tmp_path):
    """A function (flags) that runs train_vqvae.py with tiny defaults in `tmp_path`; `flags` override the defaults."""
    return lambda flags="": run("train_vqvae.py", f"--dataset {data} --output-dir {tmp_path} {FLAGS} {flags}")


@pytest.fixture
def quick_revival(monkeypatch):
    """Codes become unused within the few steps of a test."""
    monkeypatch.setattr(codebook_health, "USAGE_DECAY", 0.2)


@pytest.fixture
def kill_after(monkeypatch):
    """A function (step) that makes later runs end without cleanup after recording the losses of a step."""

    def arm(step: int | None) -> None:
        def add_and_die(self, at, figures):
            add(self, at, figures)
            if at == step and "train/total" in figures:
                raise Killed

        monkeypatch.setattr(run_log.History, "add", add_and_die)

    add = run_log.History.add
    return arm


@pytest.fixture(scope="session")
def finished_run(data, tmp_path_factory) -> Path:
    """The folder of an uninterrupted run; tests that change it use `copied_run`."""
    folder = tmp_path_factory.mktemp("runs")
    ended = run("train_vqvae.py", f"--dataset {data} --output-dir {folder} --run-name uninterrupted {FLAGS}")
    assert ended.code == 0, ended.err
    (folder / "uninterrupted" / "stdout.txt").write_text(ended.out)
    return folder / "uninterrupted"


@pytest.fixture
def copied_run(finished_run, tmp_path) -> Path:
    """A copy of the uninterrupted run in `tmp_path/run`, the default folder of the fixture `train`."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def objective():
    """A function (arguments...) -> a VQVAEObjective over a tiny float64 model with `config`, on one process."""
    from accelerate import Accelerator
    from accelerate.utils import GradientAccumulationPlugin

    from smoke_vq import SmokeVQVAE
    from smoke_vq.training import TrainingArguments, VQVAEArguments, VQVAEObjective

    def build(num_steps: int = 100, config: dict | None = None, **changes) -> VQVAEObjective:
        reset_accelerate()
        defaults = {"dataset": "blobs", "warmup_steps": 0, "lr_scheduler": "constant"}
        arguments = TrainingArguments.build(VQVAEArguments, **defaults | changes)
        steps = arguments.optimization.gradient_accumulation_steps
        plugin = GradientAccumulationPlugin(num_steps=steps, sync_with_dataloader=False)
        accelerator = Accelerator(cpu=True, gradient_accumulation_plugin=plugin)
        torch.manual_seed(0)
        return VQVAEObjective(accelerator, SmokeVQVAE(**MODEL | (config or {})).double(), arguments, num_steps)

    yield build
    reset_accelerate()


def batch(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch as from a loader, in float64."""
    from smoke_vq.data.processor import SmokeImageProcessor

    frames, processor = smoke(count, seed), SmokeImageProcessor(size=SIZE)
    pixel_values = processor.to_pixel_values(frames.images)
    return {"pixel_values": pixel_values.double(), "mask": processor.to_mask(pixel_values, frames.alphas).double()}
