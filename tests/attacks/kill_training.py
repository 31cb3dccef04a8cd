"""Kill a training at every file that it writes, resume it, and compare the result with an uninterrupted run.

    python tests/attacks/kill_training.py --output-dir attacks --recipes vqvae vqgan --random 50

Every event at which the process touches a file of its run (opening for writing, renaming, deleting, making a folder,
writing safetensors) is attacked, once in each way:

- `kill`: SIGKILL before it;
- `torn`: SIGKILL in the middle of it: an empty file, a half one or half a line is left;
- `term`: SIGTERM before it, and the process goes on.

The run is then resumed with `--resume-from-checkpoint latest`, and has to end with the losses, validation figures and
exported weights of an uninterrupted run, to the last bit. `--random N` adds kills at N random moments. Runs are forked
from one process, which has imported everything. The last lines are a table, and report.json has all attacks.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ |= {"ACCELERATE_USE_CPU": "true", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

import safetensors.torch
import torch
from tqdm import tqdm
from training_runs import MODEL, assert_same_run, run, smoke

import smoke_vq.training  # noqa: F401
from smoke_vq.losses.backbone_weights import expected_shapes

WAYS = ("kill", "torn", "term")
FLAGS = (
    "--batch-size 8 --epochs 2 --lr 1e-3 --warmup-steps 2 --codebook-init-vectors 512 --revival-steps 1 --num-images 2 "
    "--logging-steps 1 --checkpointing-steps 2 --checkpointing-epochs 1 --checkpoints-total-limit 1 --num-threads 1 "
) + " ".join(f"--model.{key} {json.dumps(value, separators=(',', ':'))}" for key, value in MODEL.items())
GAN_FLAGS = (
    "--disc-start 2 --disc-warmup-steps 1 --lr-disc 1e-3 --discriminator.base_channels 8 --discriminator.num_layers 1"
)


class Events:
    """Counts the file events of this process below a folder, and attacks one of them."""

    def __init__(self, folder: Path, way: str = "", number: int = -1):
        self.folder, self.way, self.number = str(folder), way, number
        self.names: list[str] = []
        self.is_active = True
        sys.addaudithook(self._hear)
        real = safetensors.torch.serialize_file

        def serialize_file(tensors, path, *args, **kwargs):
            self.event("safetensors", str(path))
            real(tensors, path, *args, **kwargs)

        safetensors.torch.serialize_file = serialize_file

    def _hear(self, name: str, arguments: tuple) -> None:
        if name not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            return
        if name == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        appends = name == "open" and arguments[2] & os.O_APPEND
        self.event("append" if appends else name, str(arguments[0]))

    def event(self, name: str, path: str) -> None:
        if not self.is_active or not path.startswith(self.folder):
            return
        self.names.append(f"{name} {os.path.relpath(path, self.folder)}")
        if len(self.names) - 1 != self.number:
            return
        if self.way == "term":
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if self.way == "torn":
            self.is_active = False
            if name == "open":
                os.close(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY))
            if name == "append":
                with open(path, "ab") as file:
                    file.write(b'{"step": 1')
            if name == "safetensors":
                Path(path).write_bytes(b"\x00" * 1000)
        os.kill(os.getpid(), signal.SIGKILL)


def fork(work: Callable[[], None], log: Path) -> int:
    """Run `work` in a child process; returns its exit status, or minus the number of the signal that ended it."""
    child = os.fork()
    if child == 0:
        tqdm.set_lock(threading.RLock())  # forks would share one, which a kill can leave locked
        code = 1
        try:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                work()
                code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def training(script: str, flags: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ended = run(script, flags)
    print(ended.out, ended.err)
    sys.exit(ended.code)


class Recipe:
    """A training under attack, and its uninterrupted run."""

    def __init__(self, name: str, folder: Path, in_background: bool):
        self.name, self.folder, self.in_background = name, folder, in_background
        self.script = f"train_{name}.py"
        self.flags = f"--dataset {folder.parent / 'data'} --output-dir {folder} {FLAGS}"
        self.flags += f" --checkpoint-in-background {str(in_background).lower()}"
        if name == "vqgan":
            self.flags += f" --perceptual-weights {folder.parent / 'vgg16.safetensors'} {GAN_FLAGS}"
        folder.mkdir(parents=True)
        self.log = folder / "log.txt"
        run(self.script, f"{self.flags} --run-name first --checkpoint-in-background false")  # imports what forks share
        started = time.monotonic()
        self.events = self._attack("uninterrupted", "", -1)
        self.seconds = time.monotonic() - started
        self.uninterrupted = folder / "uninterrupted"
        assert (self.uninterrupted / "best/metrics.json").is_file(), self.log.read_text()[-3000:]

    def _attack(self, run_name: str, way: str, number: int) -> list[str]:
        names = self.folder / f"{run_name}.events"

        def work() -> None:
            events = Events(self.folder / run_name, way, number)
            with contextlib.suppress(SystemExit):
                training(self.script, f"{self.flags} --run-name {run_name}")
            events.is_active = False
            names.write_text("\n".join(events.names))

        fork(work, self.log)
        return names.read_text().splitlines() if names.is_file() else []

    def attack(self, way: str, number: int) -> str:
        """Attack event `number`, resume, compare; returns what went wrong, or nothing."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        self.log.write_text("")
        self._attack("run", way, number)
        return self._resume_and_compare()

    def attack_at(self, seconds: float) -> str:
        """SIGKILL after a time."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        self.log.write_text("")

        def work() -> None:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, seconds)
            training(self.script, f"{self.flags} --run-name run")

        fork(work, self.log)
        return self._resume_and_compare()

    def _resume_and_compare(self) -> str:
        resume = " --resume-from-checkpoint latest"
        code = fork(lambda: training(self.script, f"{self.flags} --run-name run{resume}"), self.log)
        if code != 0:
            return f"the resumed run ended with {code}: {self.log.read_text()[-400:]}"
        run = self.folder / "run"
        try:
            assert_same_run(run, self.uninterrupted)
        except (AssertionError, OSError) as error:
            return f"the resumed run differs: {str(error)[:300]}"
        left = [*run.rglob("*.partial"), *run.glob(".best-*"), *run.rglob("*.tmp")]
        return f"left: {left}" if left else ""


def prepare(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    smoke(16).save(folder / "data/train.safetensors")
    smoke(4, seed=1).save(folder / "data/validation.safetensors")
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(shape, generator=generator).half() * (2 / max(1, shape[1:].numel())) ** 0.5
        for name, shape in expected_shapes("vgg16").items()
    }
    safetensors.torch.save_file(weights, folder / "vgg16.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", type=Path, required=True, help="a new folder")
    parser.add_argument("--recipes", nargs="+", default=["vqvae", "vqgan"], choices=["vqvae", "vqgan"])
    parser.add_argument("--checkpoints", nargs="+", default=["foreground", "background"], help="how they are written")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--every", type=int, default=1, help="attack only every N-th event")
    parser.add_argument("--random", type=int, default=0, help="kills at random moments, for each recipe")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0  # no thread before a fork
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prepare(arguments.output_dir)
    report, failures = [], 0
    for name in arguments.recipes:
        for place in arguments.checkpoints:
            recipe = Recipe(name, (arguments.output_dir / f"{name}_{place}").resolve(), place == "background")
            attacks = [
                (way, number) for way in arguments.ways for number in range(0, len(recipe.events), arguments.every)
            ]
            counts = dict.fromkeys([*arguments.ways, "random"], (0, 0))
            for way, number in attacks + [("random", i) for i in range(arguments.random)]:
                if way == "random":
                    moment = random.Random(number).uniform(0, recipe.seconds)
                    event, wrong = f"after {moment:.2f} s", recipe.attack_at(moment)
                else:
                    event, wrong = recipe.events[number], recipe.attack(way, number)
                good, total = counts[way]
                counts[way] = good + (not wrong), total + 1
                failures += bool(wrong)
                report.append({"recipe": name, "checkpoints": place, "way": way, "event": event, "wrong": wrong})
                (arguments.output_dir / "report.json").write_text(json.dumps(report, indent=1))
                if wrong:
                    print(f"{name}, {place}, {way}, {event}: {wrong}", flush=True)
            cells = " | ".join(f"{good} of {total}" for good, total in counts.values())
            print(f"| {name}, checkpoints in the {place} | {len(recipe.events)} | {cells} |", flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
