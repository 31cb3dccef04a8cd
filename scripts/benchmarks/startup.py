"""The start of a training: a process until its first step."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from smoke_vq.data.frames import PackedFrames
from smoke_vq.layout import HEARTBEAT

from .timing import Rounds, report

ROOT = Path(__file__).resolve().parents[2]
IMPORTS = {
    "import torch": "import torch",
    "import of diffusers' ModelMixin": "from diffusers.models.modeling_utils import ModelMixin",
}
TRAINING = "first step of a training"
# What a training imports, in this order; each takes the time that is left after those before it.
STAGES = {
    "torch": "import torch",
    "torch._dynamo": "import torch._dynamo",  # by diffusers, and by the first optimizer
    "accelerate": "import accelerate",
    "diffusers' ModelMixin": IMPORTS["import of diffusers' ModelMixin"],
    "diffusers' blocks": "from diffusers.models.unets.unet_2d_blocks import DownEncoderBlock2D",
    "all others": "from smoke_vq import SmokeImageProcessor, SmokeVQVAE\n"
    "from smoke_vq.training import Trainer, VQVAEObjective, make_evaluator, make_publisher",
}
_TIME_STAGES = """
import json, sys, time

seconds, before = {}, time.process_time()
for name, statement in json.loads(sys.argv[1]).items():
    exec(statement)
    now = time.process_time()
    seconds[name], before = now - before, now
print(json.dumps(seconds))
"""


def startup(device: str, rounds: int) -> None:
    """From the start of a process to the first step of the tiny model on packed frames, beside imports that it needs.

    CPU time and time of the clock of processes on one thread, which are started in turn. Then the imports one by one.
    """
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in (*IMPORTS, TRAINING)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, count in (("train", 512), ("validation", 64)):
            images = torch.randint(0, 256, (count, 64, 64, 3), dtype=torch.uint8)
            PackedFrames(images, images.amax(dim=3)).save(folder / f"{split}.safetensors")
        for i in range(rounds):
            for title, statement in IMPORTS.items():
                measured[title].append(seconds_until(["-c", statement]))
            words = ["-m", "smoke_vq", "train", "vqvae", "--config", "configs/config_vqvae_tiny.yaml"]
            words += ["--dataset", name, "--output-dir", name, "--run-name", f"run_{i}", "--num-threads", "1"]
            measured[TRAINING].append(seconds_until(words, folder / f"run_{i}" / HEARTBEAT))
    for i, kind in enumerate(("CPU time", "by the clock")):
        seconds = {title: Rounds(pair[i] for pair in pairs) for title, pairs in measured.items()}
        report(f"Start of a process, {kind}, {device}", seconds, "import torch")
    stages = [seconds_of_stages() for _ in range(rounds)]
    report("CPU time of imports", {name: Rounds(each[name] for each in stages) for name in STAGES}, "torch")


def seconds_of_stages() -> dict[str, float]:
    """CPU seconds of each of `STAGES` in one process."""
    command = [sys.executable, "-c", _TIME_STAGES, json.dumps(STAGES)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(ended.stdout)


def seconds_until(words: list[str], file: Path | None = None) -> tuple[float, float]:
    """CPU seconds, and those of the clock, of Python with these words until it ends, or until it has written `file`.

    Raises:
        RuntimeError: it ended with an error, or without the file.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as messages:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=messages
        )
        options = os.WEXITED | os.WNOWAIT  # the end of the process is kept for wait4, which tells its CPU time
        if file is None:
            os.waitid(os.P_PID, process.pid, options)
        else:
            while not file.exists() and os.waitid(os.P_PID, process.pid, options | os.WNOHANG) is None:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)  # `process.kill` would take its end away from wait4
        elapsed = time.perf_counter() - started
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 if file is None else not file.exists():
            messages.seek(0)
            raise RuntimeError(f"{' '.join(words)}: {messages.read().decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, elapsed
