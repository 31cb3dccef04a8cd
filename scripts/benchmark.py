"""Measure the speed of each part relative to its ideal and to other implementations.

smoke-vq benchmark                          # on a GPU: the full model; on a CPU: the tiny one
smoke-vq benchmark --part quantizer
smoke-vq benchmark --part growth --json growth.json --plot growth.png
"""

import argparse
import json
from pathlib import Path

import torch
from benchmarks import PARTS
from benchmarks.plot import draw_growth
from benchmarks.timing import RESULTS

from smoke_vq.evaluation.forecasts.pictures import check_matplotlib
from smoke_vq.hub.provenance import commit, hardware
from smoke_vq.preparation.folder import write_atomically
from smoke_vq.script import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="+", default=list(PARTS), help="(default: all)")
    parser.add_argument("--rounds", type=int, default=10, help="timed calls of each function (default: 10)")
    parser.add_argument("--json", type=Path, help="write everything to this file, with device, versions and commit")
    parser.add_argument("--plot", type=Path, help="draw how cost grows (the part growth) to this file")
    arguments = parser.parse_args()
    if arguments.plot is not None:
        check_matplotlib()
        if "growth" not in arguments.part:
            raise ValueError(f"--plot draws the part growth: expected it in --part, found {arguments.part}.")
    if arguments.rounds < 1:
        raise ValueError(f"rounds expects 1 or more, found {arguments.rounds}.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"{name}, torch {torch.__version__}, median of {arguments.rounds} rounds (and quartiles)")
    for part in arguments.part:
        PARTS[part](device, arguments.rounds)
    if arguments.json is not None:
        facts = {"device": name, "hardware": hardware(), "torch": torch.__version__, **commit()}
        content = facts | {"rounds": arguments.rounds, "parts": arguments.part, "results": RESULTS}
        write_atomically(arguments.json, (json.dumps(content, indent=2) + "\n").encode())
    if arguments.plot is not None:
        draw_growth([result for result in RESULTS if "exponent" in result], arguments.plot)


if __name__ == "__main__":
    run(main)
