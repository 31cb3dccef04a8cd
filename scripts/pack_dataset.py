"""Write a dataset as one uint8 safetensors file per split: it loads without the datasets package and without decoding.

smoke-vq pack --dataset data/rise64 --output-dir data/rise64_packed
"""

import argparse
from pathlib import Path

from smoke_vq.data.sources import load_frames
from smoke_vq.script import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="folder, Hub name or 'simulated:CONFIGURATION'")
    parser.add_argument("--splits", nargs="+", default=["train", "validation"])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--resize", action="store_true", help="resize frames of another size")
    parser.add_argument("--output-dir", type=Path, required=True)
    arguments = parser.parse_args()
    splits = {s: load_frames(arguments.dataset, s, arguments.size, resize=arguments.resize) for s in arguments.splits}
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    for split, frames in splits.items():
        path = arguments.output_dir / f"{split}.safetensors"
        frames.save(path)
        print(f"{path}: {len(frames)} frames")


if __name__ == "__main__":
    run(main)
