"""Loaders of frames."""

import tempfile
from pathlib import Path

import datasets
import numpy as np
import torch
from PIL import Image

from smoke_vq.data.dataset_frames import DatasetFrames
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.processor import SmokeImageProcessor

from .timing import interleaved, report


def data(device: str, rounds: int) -> None:
    """Batches of 64 from memory and from PNG in Parquet, relative to indexing a tensor."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 64, 64, 3), dtype=np.uint8)
    packed = PackedFrames(torch.from_numpy(noise))
    processor = SmokeImageProcessor()
    rows = torch.randperm(512)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "train.parquet")
        datasets.Dataset.from_dict(
            {"image": [Image.fromarray(frame) for frame in noise]},
            features=datasets.Features({"image": datasets.Image()}),
        ).to_parquet(file)
        dataset = datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=folder)
        decoded = DatasetFrames(dataset, 64)

        def drain(loader: FrameLoader):
            for _ in loader.epoch(0):
                pass

        fast = FrameLoader(packed, processor, 64, shuffle=True, flip=True, device=device)
        slow = FrameLoader(decoded, processor, 64, shuffle=True, flip=True, device=device)
        seconds = interleaved(
            {
                "bare index": lambda: packed.images[rows],
                "packed loader": lambda: drain(fast),
                "decoding loader, no workers": lambda: drain(slow),
            },
            device,
            rounds,
        )
    report("Data, 512 frames", seconds, "bare index", "images/s", 512)
