"""Simulate smoke plumes and write them as a dataset folder: Parquet files, card, contact sheet and animation.

python scripts/simulate_plumes.py --output-dir data/plumes64
torchrun --nproc_per_node 8 scripts/simulate_plumes.py --output-dir data/plumes64 --num-frames 1000000

Processes started by `torchrun` or `accelerate launch` share the work; all of them must have access to the folder. The
same command continues an interrupted run. If the folder is complete, it only pushes.
"""

import argparse
import os
import signal

import torch
from accelerate import PartialState

from smoke_vq.hub.push import open_repo, push_dataset
from smoke_vq.preparation.jobs import num_cores
from smoke_vq.preparation.plumes.plan import PlumePlan
from smoke_vq.preparation.plumes.prepare import prepare_plumes
from smoke_vq.preparation.plumes.rows import TRAIN_SEED, VALIDATION_SEED
from smoke_vq.script import run
from smoke_vq.simulation import PlumeSettings


def parse_arguments() -> argparse.Namespace:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", required=True, help="new or empty folder, or the folder of an interrupted run")
    parser.add_argument("--num-frames", type=int, default=10_240, help="number of training frames (default: 10240)")
    parser.add_argument("--validation-frames", type=int, help="number of validation frames (default: a tenth)")
    parser.add_argument("--frames-per-simulation", type=int, default=64, help="length of a simulation (default: 64)")
    parser.add_argument("--size", type=int, default=64, help="height and width of the frames in pixels (default: 64)")
    parser.add_argument("--dimensions", type=int, default=3, help="2 is for quick tests (default: 3)")
    parser.add_argument("--background", default="black", help="colour name, '#rrggbb' or image file (default: black)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device, help="default: cuda if available")
    parser.add_argument("--num-proc", type=int, help="worker processes (default: one per core; 1 on a GPU)")
    parser.add_argument("--seed", type=int, default=TRAIN_SEED, help="first training seed (default: 0)")
    parser.add_argument("--validation-seed", type=int, default=VALIDATION_SEED, help="first seed (default: 1000000000)")
    parser.add_argument("--simulations-per-shard", type=int, help="simulations per file (default: 4; 32 on a GPU)")
    parser.add_argument("--push-to-hub", metavar="USER/NAME", help="upload the finished dataset")
    parser.add_argument("--private", action="store_true", help="create the repository as private")
    return parser.parse_args()


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
    validation_frames = arguments.validation_frames
    plan = PlumePlan(
        PlumeSettings(arguments.size, arguments.frames_per_simulation, arguments.dimensions, arguments.background),
        arguments.num_frames,
        max(1, arguments.num_frames // 10) if validation_frames is None else validation_frames,
        arguments.seed,
        arguments.validation_seed,
        (4 if on_cpu else 32) if arguments.simulations_per_shard is None else arguments.simulations_per_shard,
        arguments.device,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    state = PartialState(cpu=on_cpu)
    if arguments.push_to_hub and state.is_main_process:
        open_repo(arguments.push_to_hub, "dataset", arguments.private)
    num_proc = arguments.num_proc or (
        max(1, num_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))) if on_cpu else 1
    )
    prepare_plumes(plan, arguments.output_dir, state.device, num_proc, state.process_index, state.num_processes)
    if state.is_main_process:
        print(f"{arguments.output_dir} is complete: see contact_sheet.png and animation.webp.")
        if arguments.push_to_hub:
            print(f"Pushed: {push_dataset(arguments.output_dir, arguments.push_to_hub)}")
    state.destroy_process_group()


if __name__ == "__main__":
    run(main)
