"""Compare datasets of smoke: a table of statistics, and a picture with frames of each.

smoke-vq compare-datasets --datasets simulated:small data/rise64 --output-dir comparison
"""

import argparse
import json
from pathlib import Path

import numpy as np

from smoke_vq.data.dataset_frames import DatasetFrames
from smoke_vq.data.sources import check_sources, find_source
from smoke_vq.hub.provenance import public_name
from smoke_vq.metrics import markdown_table
from smoke_vq.metrics.smoke_statistics import STATISTICS, smoke_statistics
from smoke_vq.pictures import image_grid
from smoke_vq.script import run

SEQUENCE_COLUMNS = ("sequence_id", "clip_id")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", required=True, help="prepared folders, Hub names, simulated:CONFIG")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--num-images", type=int, default=12, help="sequences per dataset in the picture")
    parser.add_argument("--output-dir", type=Path, default=Path("comparison"))
    arguments = parser.parse_args()
    check_sources(arguments.datasets)
    columns, rows, labels = {}, [], []
    for name in arguments.datasets:
        dataset = find_source(name).open(name, arguments.split)
        column = next((column for column in SEQUENCE_COLUMNS if column in dataset.column_names), None)
        if column is None or "alpha" not in dataset.column_names:
            raise ValueError(
                f"{name} has the columns {dataset.column_names}: expected alpha and {SEQUENCE_COLUMNS[0]}."
            )
        frames = DatasetFrames(dataset, arguments.size, name=name).pack()
        sequence = np.array(dataset[column])
        label = public_name(name).removeprefix("./")
        columns[label] = smoke_statistics(frames.images.numpy(), frames.alphas.numpy(), sequence)
        _, first, counts = np.unique(sequence, return_index=True, return_counts=True)
        chosen = np.linspace(0, len(first) - 1, arguments.num_images).round().astype(int)
        for when, share in (("early", 0.2), ("late", 0.9)):
            rows.append(frames.images.numpy()[first[chosen] + (counts[chosen] * share).astype(int)])
            labels.append(f"{label}, {when}")
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    image_grid(rows, labels).save(arguments.output_dir / "frames.png")
    (arguments.output_dir / "statistics.json").write_text(json.dumps(columns, indent=2) + "\n")
    print(f"{markdown_table(columns, STATISTICS)}\n\nstatistics.json and frames.png: {arguments.output_dir}")


if __name__ == "__main__":
    run(main)
