"""Simulate smoke plumes and write them as a dataset folder: Parquet files, card, contact sheet and animation.

With --futures, the folder is a test set for forecasts instead: plumes, each continued many times from the same state.

smoke-vq simulate --output-dir data/plumes64
torchrun --nproc_per_node 8 scripts/simulate_plumes.py --output-dir data/plumes64 --num-frames 1000000
smoke-vq simulate --output-dir data/futures64 --futures 32

Processes started by `torchrun` or `accelerate launch` share the work; all of them must have access to the folder. The
same command continues an interrupted run. If the folder is complete, it only pushes.
"""

import argparse
import os
import signal

import torch
from accelerate import PartialState

from smoke_vq.hub.push import open_repo, push_dataset
from smoke_vq.preparation.futures.plan import TEST_SEED, FuturesPlan
from smoke_vq.preparation.futures.prepare import prepare_futures
from smoke_vq.preparation.jobs import num_cores
from smoke_vq.preparation.plumes.plan import PlumePlan
from smoke_vq.preparation.plumes.prepare import prepare_plumes
from smoke_vq.preparation.plumes.rows import TRAIN_SEED, VALIDATION_SEED
from smoke_vq.script import run
from smoke_vq.simulation import PlumeSettings

# Options of one kind of folder and their defaults, which the parser does not know: it shows which of them were given.
_TRAINING = {
    "num_frames": 10_240,
    "validation_frames": None,
    "frames_per_simulation": 64,
    "validation_seed": VALIDATION_SEED,
    "simulations_per_shard": None,
}
_FUTURES = {"starts": (16, 40), "num_members": 16, "future_frames": 16}


def parse_arguments() -> argparse.Namespace:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", required=True, help="new or empty folder, or the folder of an interrupted run")
    parser.add_argument("--size", type=int, default=64, help="height and width of the frames in pixels (default: 64)")
    parser.add_argument("--dimensions", type=int, default=3, help="2 is for quick tests (default: 3)")
    parser.add_argument("--background", default="black", help="colour name, '#rrggbb' or image file (default: black)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device, help="default: cuda if available")
    parser.add_argument("--num-proc", type=int, help="worker processes (default: one per core; 1 on a GPU)")
    parser.add_argument("--seed", type=int, help="seed of the first plume (default: 0; 2000000000 with --futures)")
    parser.add_argument("--push-to-hub", metavar="USER/NAME", help="upload the finished dataset")
    parser.add_argument("--private", action="store_true", help="create the repository as private")
    training = parser.add_argument_group("a dataset for training")
    training.add_argument("--num-frames", type=int, help="number of training frames (default: 10240)")
    training.add_argument("--validation-frames", type=int, help="number of validation frames (default: a tenth)")
    training.add_argument("--frames-per-simulation", type=int, help="length of a simulation (default: 64)")
    training.add_argument("--validation-seed", type=int, help="first seed of validation (default: 1000000000)")
    training.add_argument("--simulations-per-shard", type=int, help="simulations per file (default: 4; 32 on a GPU)")
    futures = parser.add_argument_group("a test set for forecasts")
    futures.add_argument("--futures", type=int, metavar="PLUMES", help="number of plumes whose futures are simulated")
    futures.add_argument("--starts", type=int, nargs="+", help="numbers of observed frames (default: 16 40)")
    futures.add_argument("--num-members", type=int, help="continuations from each start (default: 16)")
    futures.add_argument("--future-frames", type=int, help="frames of each continuation (default: 16)")
    arguments = parser.parse_args()
    is_test = arguments.futures is not None
    for name in _TRAINING if is_test else _FUTURES:
        if getattr(arguments, name) is not None:
            flag, given = name.replace("_", "-"), "with" if is_test else "without"
            raise ValueError(f"--{flag} has no effect {given} --futures: expected it to be left out.")
    for name, default in {**_TRAINING, **_FUTURES, "seed": TEST_SEED if is_test else TRAIN_SEED}.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    return arguments


def plumes_plan(arguments: argparse.Namespace) -> PlumePlan:
    """The dataset for training."""
    validation_frames = arguments.validation_frames
    default_simulations = 4 if arguments.device == "cpu" else 32
    return PlumePlan(
        PlumeSettings(arguments.size, arguments.frames_per_simulation, arguments.dimensions, arguments.background),
        arguments.num_frames,
        max(1, arguments.num_frames // 10) if validation_frames is None else validation_frames,
        arguments.seed,
        arguments.validation_seed,
        default_simulations if arguments.simulations_per_shard is None else arguments.simulations_per_shard,
        arguments.device,
    )


def futures_plan(arguments: argparse.Namespace) -> FuturesPlan:
    """The test set for forecasts."""
    return FuturesPlan(
        PlumeSettings(arguments.size, dimensions=arguments.dimensions, background=arguments.background),
        arguments.futures,
        tuple(arguments.starts),
        arguments.num_members,
        arguments.future_frames,
        arguments.seed,
        arguments.device,
    )


def _stop(number: int, frame) -> None:
    """End the run at the first Ctrl-C or SIGTERM, and ignore further ones so that the cleanup is not interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    arguments = parse_arguments()
    on_cpu = arguments.device == "cpu"
    if not on_cpu and not torch.cuda.is_available():
        raise ValueError("device is cuda, but torch finds no GPU on this machine.")
    if arguments.num_proc is not None and arguments.num_proc < 1:
        raise ValueError(f"num-proc is {arguments.num_proc}: expected at least 1.")
    is_test = arguments.futures is not None
    plan = futures_plan(arguments) if is_test else plumes_plan(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    state = PartialState(cpu=on_cpu)
    if arguments.push_to_hub and state.is_main_process:
        open_repo(arguments.push_to_hub, "dataset", arguments.private)
    num_proc = arguments.num_proc or (
        max(1, num_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))) if on_cpu else 1
    )
    prepare = prepare_futures if is_test else prepare_plumes
    prepare(plan, arguments.output_dir, state.device, num_proc, state.process_index, state.num_processes)
    if state.is_main_process:
        print(f"{arguments.output_dir} is complete: see contact_sheet.png{'' if is_test else ' and animation.webp'}.")
        if arguments.push_to_hub:
            print(f"Pushed: {push_dataset(arguments.output_dir, arguments.push_to_hub)}")
    state.destroy_process_group()


if __name__ == "__main__":
    run(main)
