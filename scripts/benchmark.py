"""Measure the speed of each part relative to its ideal and to other implementations.

smoke-vq benchmark                          # on a GPU: the full model; on a CPU: the tiny one
smoke-vq benchmark --part quantizer
"""

import argparse

import torch
from benchmarks import PARTS

from smoke_vq.script import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="+", default=list(PARTS), help="(default: all)")
    parser.add_argument("--rounds", type=int, default=10, help="timed calls of each function (default: 10)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        raise ValueError(f"rounds expects 1 or more, found {arguments.rounds}.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"{name}, torch {torch.__version__}, median of {arguments.rounds} rounds")
    for part in arguments.part:
        PARTS[part](device, arguments.rounds)


if __name__ == "__main__":
    run(main)
