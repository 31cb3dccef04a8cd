"""Loaders of frames."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import datasets
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from smoke_vq.data.dataset_frames import DatasetFrames
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.processor import SmokeImageProcessor

from .timing import interleaved, report


class _Images(torch.utils.data.Dataset):
    """Images as a PyTorch dataset that gives a whole batch at once."""

    def __init__(self, images: torch.Tensor):
        self.images = images

    def __getitems__(self, rows: list[int]) -> torch.Tensor:
        return self.images[torch.as_tensor(rows)]


def _plain(images: torch.Tensor, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same batches as a PyTorch DataLoader and operations on whole batches give."""
    order = torch.randperm(len(images)).split(batch_size)
    for batch in DataLoader(_Images(images), batch_sampler=[rows.tolist() for rows in order], collate_fn=lambda b: b):
        values = batch.movedim(-1, -3).float().div(127.5).sub(1).contiguous()
        mask = (values.amax(dim=1, keepdim=True) > -0.99).float()
        flips = torch.rand(len(values), 1, 1, 1) < 0.5
        yield torch.where(flips, values.flip(-1), values), torch.where(flips, mask.flip(-1), mask)


def data(device: str, rounds: int) -> None:
    """Batches from memory and from PNG in Parquet, relative to indexing; on a CPU in the time of one thread."""
    threads, clock = torch.get_num_threads(), time.perf_counter
    if device == "cpu":
        torch.set_num_threads(1)
        clock = time.process_time
    noise = np.random.default_rng(0).integers(0, 256, (2048, 64, 64, 3), dtype=np.uint8)
    packed = PackedFrames(torch.from_numpy(noise))
    processor = SmokeImageProcessor()
    rows = torch.randperm(len(noise)).split(64)

    def drain(batches: Iterable):
        for _ in batches:
            pass

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "train.parquet")
        datasets.Dataset.from_dict(
            {"image": [Image.fromarray(frame) for frame in noise]},
            features=datasets.Features({"image": datasets.Image()}),
        ).to_parquet(file)
        dataset = datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=folder)
        decoded = DatasetFrames(dataset, 64)
        options = dict(shuffle=True, flip=True, device=device)
        loaders = {
            f"{name} loader, batch {size}": FrameLoader(frames, processor, size, **options)
            for name, frames, sizes in (("packed", packed, (16, 64)), ("decoding", decoded, (64,)))
            for size in sizes
        }
        functions = {"bare index": lambda: [packed.images[part] for part in rows]}
        functions |= {name: lambda loader=loader: drain(loader.epoch(0)) for name, loader in loaders.items()}
        if device == "cpu":
            for size in (16, 64):
                functions[f"DataLoader, batch {size}"] = lambda size=size: drain(_plain(packed.images, size))
        seconds = interleaved(functions, device, rounds, clock)
    report(f"Data, {len(noise)} frames", seconds, "bare index", "images/s", len(noise))
    torch.set_num_threads(threads)
