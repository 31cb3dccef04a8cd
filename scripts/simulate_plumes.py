"""Simulate smoke plumes into a dataset folder: Parquet shards, card, contact sheet, animation.

python scripts/simulate_plumes.py --output-dir data/plumes64
torchrun --nproc_per_node 8 scripts/simulate_plumes.py --output-dir data/plumes64 --num-frames 1000000

Processes of `torchrun` or `accelerate launch` share the work, on a folder that all of them see. A run that was stopped
goes on where it was when it is started again with the same settings; a finished one only pushes.
"""

import argparse
import os
import signal

import torch
from accelerate import PartialState

from smoke_vq.hub.push import open_repo, push_dataset
from smoke_vq.preparation.plumes.plan import PlumesPlan
from smoke_vq.preparation.plumes.prepare import prepare_plumes
from smoke_vq.preparation.plumes.rows import TRAIN_SEED, VALIDATION_SEED
from smoke_vq.preparation.processes import num_cores
from smoke_vq.script import run
from smoke_vq.simulation import PlumeSettings


def parse_arguments() -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", required=True, help="new or empty folder for the dataset, or one begun before")
    parser.add_argument("--num-frames", type=int, default=10_240, help="training frames in all (default: 10240)")
    parser.add_argument("--validation-frames", type=int, help="validation frames in all (default: a tenth of them)")
    parser.add_argument("--frames-per-simulation", type=int, default=64, help="the last may be shorter (default: 64)")
    parser.add_argument("--size", type=int, default=64, help="height and width of the frames (default: 64)")
    parser.add_argument("--dimensions", type=int, default=3, help="2 is for quick tests (default: 3)")
    parser.add_argument("--background", default="black", help="colour name, '#rrggbb' or path of a picture")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if cuda else "cpu", help="default: a GPU")
    parser.add_argument("--num-proc", type=int, help="worker processes (default: one a core; 1 on a GPU)")
    parser.add_argument("--seed", type=int, default=TRAIN_SEED, help="of the first training simulation (default: 0)")
    parser.add_argument("--validation-seed", type=int, default=VALIDATION_SEED, help="of the first for validation")
    parser.add_argument("--simulations-per-shard", type=int, help="in one file (default: 4; GPU: 32)")
    parser.add_argument("--push-to-hub", metavar="USER/NAME", help="upload the finished dataset")
    parser.add_argument("--private", action="store_true", help="with --push-to-hub: a new repository is private")
    return parser.parse_args()


def stop(number: int, frame) -> None:
    """The first Ctrl-C or SIGTERM ends the run; what launchers send after it must not disturb the tidying up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    arguments = parse_arguments()
    on_cpu = arguments.device == "cpu"
    if not on_cpu and not torch.cuda.is_available():
        raise ValueError("device is cuda: this machine has no GPU that torch can use.")
    if arguments.num_proc is not None and arguments.num_proc < 1:
        raise ValueError(f"num-proc is {arguments.num_proc}: expected 1 or more.")
    validation_frames = arguments.validation_frames
    plan = PlumesPlan(
        PlumeSettings(arguments.size, arguments.frames_per_simulation, arguments.dimensions, arguments.background),
        arguments.num_frames,
        max(1, arguments.num_frames // 10) if validation_frames is None else validation_frames,
        arguments.seed,
        arguments.validation_seed,
        (4 if on_cpu else 32) if arguments.simulations_per_shard is None else arguments.simulations_per_shard,
        arguments.device,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    state = PartialState(cpu=on_cpu)
    if arguments.push_to_hub and state.is_main_process:
        open_repo(arguments.push_to_hub, "dataset", arguments.private)
    num_proc = arguments.num_proc or (
        max(1, num_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))) if on_cpu else 1
    )
    prepare_plumes(plan, arguments.output_dir, state.device, num_proc, state.process_index, state.num_processes)
    if state.is_main_process:
        print(f"{arguments.output_dir} is whole: look at contact_sheet.png and animation.webp.")
        if arguments.push_to_hub:
            print(f"Pushed: {push_dataset(arguments.output_dir, arguments.push_to_hub)}")
    state.destroy_process_group()


if __name__ == "__main__":
    run(main)
