"""The speedrun on smoke: how many seconds a training takes until its model is good enough.

Trains a configuration from random weights with each seed, one after another, and judges each model on all validation
frames. Writes record.json: commit, device, command, seconds, figures and log of every seed. docs/speedrun.md has the
rules and the records. Flags that are not listed here are passed on to the training.

smoke-vq speedrun --dataset data/rise64 --output-dir speedrun --num-processes 2 --num-threads 1
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from smoke_vq.checks import check_count
from smoke_vq.hub.provenance import command, commit, public_arguments
from smoke_vq.layout import BEST, HEARTBEAT, HISTORY
from smoke_vq.preparation.folder import write_atomically
from smoke_vq.registry import choose
from smoke_vq.script import run
from smoke_vq.training import TrainingArguments, VQGANArguments, VQVAEArguments, parse_arguments


@dataclass(frozen=True)
class Task:
    """The largest figures of a model, on average over the seeds, and the largest number of bits of a frame."""

    at_most: dict[str, float]
    bits: int = 640


TASKS = {
    "faithful": Task({"masked_mse": 0.026}),
    "sharp": Task({"masked_mse": 0.038, "lpips_alex": 0.033}),
}
RECIPES = {"vqvae": VQVAEArguments, "vqgan": VQGANArguments}
SHOWN = ("masked_mse", "background_mse", "psnr", "ssim", "lpips_alex", "num_codes_used")


def main() -> None:
    arguments, flags = parse()
    recipe, task = choose(RECIPES, arguments.recipe, "recipe"), choose(TASKS, arguments.task, "task")
    training = parse_arguments(recipe, ["--config", arguments.config, *flags])
    if training.recipe.init_from is not None:
        raise ValueError("A speedrun starts from random weights: expected no init_from.")
    training.check_data()
    folder = arguments.output_dir
    folders = {seed: folder / "runs" / f"seed_{seed}" for seed in arguments.seeds}
    if len(folders) < len(arguments.seeds):
        raise ValueError(f"Each seed is trained once: found {arguments.seeds}.")
    for run_folder in folders.values():
        if run_folder.exists():
            raise ValueError(f"{run_folder} exists: expected an output_dir without earlier runs.")
    judge, runs = Judge(training, task), {}
    for seed, run_folder in folders.items():
        seconds = train(run_folder, arguments, ["--config", arguments.config, *flags, "--seed", str(seed)])
        figures = judge.figures(run_folder / BEST)
        steps = [json.loads(line) for line in (run_folder / HISTORY).read_text().splitlines()]
        validations = [line for line in steps if "validation/masked_mse" in line]
        runs[seed] = {"seconds": round(seconds, 1), **figures, "validations": validations}
        shown = ", ".join(f"{name} {figures[name]:.5g}" for name in SHOWN if name in figures)
        print(f"seed {seed}: {seconds:.0f} s, {shown}", flush=True)
    record = {
        "task": arguments.task,
        **asdict(task),
        "is_met": task_is_met(task, list(runs.values())),
        "command": command(),
        **commit(),
        "device": device(),
        "num_processes": arguments.num_processes,
        "torch": torch.__version__,
        "seconds": summary([own["seconds"] for own in runs.values()]),
        **{name: summary([own[name] for own in runs.values()]) for name in SHOWN if name in runs[arguments.seeds[0]]},
        "arguments": public_arguments(training.to_dict()),
        "seeds": runs,
    }
    write_atomically(folder / "record.json", (json.dumps(record, indent=2) + "\n").encode())
    print(f"\n{'The task is met' if record['is_met'] else 'The task is not met'} in {record['seconds']['mean']:.0f} s.")
    print(f"record.json: {folder}")


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--task", default="faithful", help=f"one of {', '.join(TASKS)} (default: faithful)")
    parser.add_argument("--recipe", default="vqvae", help=f"one of {', '.join(RECIPES)} (default: vqvae)")
    parser.add_argument("--config", default="tiny", help="name or file (default: tiny)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--num-processes", type=int, default=1, help="processes of the training (default: 1)")
    parser.add_argument("--output-dir", type=Path, default=Path("speedrun"))
    arguments, flags = parser.parse_known_args()
    check_count("num_processes", arguments.num_processes)
    for flag in ("--seed", "--run-name", "--resume-from-checkpoint"):
        if any(word.split("=")[0].replace("_", "-") == flag for word in flags):
            raise ValueError(f"{flag} is set by the speedrun itself: expected it to be left out.")
    return arguments, flags


def train(folder: Path, arguments: argparse.Namespace, flags: list[str]) -> float:
    """Train the run in `folder`, with a log beside it.

    Returns:
        Seconds from the start of the process to the end of its last validation, when the best model is written.

    Raises:
        ValueError: the training failed; the message is its last line.
    """
    log = folder.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["-m", "smoke_vq", "train", arguments.recipe, *flags]
    if arguments.num_processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(arguments.num_processes)]
        words = [*launcher, *words]
    words += ["--output-dir", str(folder.parent), "--run-name", folder.name]
    with open(log, "w") as file:
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, *words], stdout=file, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None and phase(folder) not in ("export", "evaluation", "finished"):
                time.sleep(0.1)
            seconds = time.monotonic() - started
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if process.returncode != 0:
        lines = log.read_text().strip().splitlines() or [f"exit status {process.returncode}"]
        raise ValueError(f"The training failed: {lines[-1]} (see {log})")
    return seconds


def phase(folder: Path) -> str:
    path = folder / HEARTBEAT
    return json.loads(path.read_text())["phase"] if path.is_file() else ""


class Judge:
    """Measures a saved model on all validation frames, in float32, whatever the training validated on."""

    def __init__(self, training: TrainingArguments, task: Task):
        from accelerate import Accelerator

        from smoke_vq.data.loader import FrameLoader
        from smoke_vq.data.processor import SmokeImageProcessor
        from smoke_vq.data.sources import load_frames
        from smoke_vq.evaluation.comparison import Comparison
        from smoke_vq.losses.perceptual import LPIPS
        from smoke_vq.metrics import make_metrics

        accelerator, data = Accelerator(mixed_precision="no"), training.data
        size = training.recipe.model["sample_size"]
        frames = load_frames(data.validation_sources, data.validation_split, size, resize=data.resize).pack()
        loader = FrameLoader(frames, SmokeImageProcessor(size=size), 64, device=accelerator.device)
        names, networks = ["image", "codebook", "codes", "size"], {}
        if "lpips_alex" in task.at_most:
            names.append("lpips")
            networks = {"lpips": {"functions": {"lpips_alex": LPIPS("alex").to(accelerator.device)}}}
        self.device, self.bits = accelerator.device, task.bits
        self.comparison = Comparison(accelerator, loader, make_metrics(names, **networks))

    def figures(self, folder: Path) -> dict[str, float]:
        """The figures of `SHOWN` that are measured.

        Raises:
            ValueError: the codes of a frame take more bits than the task allows.
        """
        from smoke_vq.models.auto import AutoAutoencoder

        model = AutoAutoencoder.from_pretrained(folder).to(self.device).eval()
        figures = self.comparison.measure_model(model).figures
        bits = 8 * figures["bytes_per_frame"]
        if bits > self.bits:
            raise ValueError(f"The codes of a frame take {bits:g} bits: expected at most {self.bits}.")
        return {name: figures[name] for name in SHOWN if name in figures}


def task_is_met(task: Task, runs: list[dict]) -> bool:
    """Whether the means over at least three seeds are within the bounds of the task."""
    means = {name: statistics.fmean(own[name] for own in runs) for name in task.at_most}
    return len(runs) >= 3 and all(means[name] <= bound for name, bound in task.at_most.items())


def summary(values: list[float]) -> dict[str, float]:
    """Mean and sample standard deviation, 0 for one value."""
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0}


def device() -> str:
    """The name of the GPU, or of the processor with its number of cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores"


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines: Iterator[str] = iter(path.read_text().splitlines() if path.is_file() else ())
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    run(main)
