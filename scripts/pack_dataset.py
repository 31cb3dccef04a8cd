"""Write a dataset as one uint8 safetensors file per split: it loads without the datasets package and without decoding.

smoke-vq pack --dataset data/rise64 --output-dir data/rise64_packed
"""

import argparse
from pathlib import Path

from smoke_vq.data.sources import load_frames
from smoke_vq.downloads.checksums import record_checksums, take_checksums
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
    folder, names = arguments.output_dir, [f"{split}.safetensors" for split in splits]
    folder.mkdir(parents=True, exist_ok=True)
    others = take_checksums(folder)
    for name, frames in zip(names, splits.values(), strict=True):
        frames.save(folder / name)
        print(f"{folder / name}: {len(frames)} frames")
    record_checksums(folder, names, others)


if __name__ == "__main__":
    run(main)
