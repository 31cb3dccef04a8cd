"""Encoding a dataset."""

import contextlib
import io
import tempfile
from pathlib import Path

import torch

from smoke_vq import SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.tokens import encode_dataset

from .sizes import autoencoder_sizes
from .timing import interleaved, report


def tokens(device: str, rounds: int) -> None:
    """Encoding a dataset to files of codes and latents, against the model alone on the same frames in memory."""
    sizes = autoencoder_sizes(device)
    count, batch = (4096, 256) if device == "cuda" else (512, 64)
    model, processor = SmokeVQVAE(**sizes).to(device).eval(), SmokeImageProcessor()
    frames = PackedFrames(torch.randint(0, 256, (count, 64, 64, 3), dtype=torch.uint8))
    pixel_values = processor.to_pixel_values(frames.images.to(device))

    @torch.no_grad()
    def bare() -> None:
        for part in pixel_values.split(batch):
            model.encode(part)

    def encode(latents: bool) -> None:
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
            encode_dataset(model, processor, {"train": frames}, Path(name) / "codes", latents=latents, batch_size=batch)

    functions = {
        "model.encode alone": bare,
        "encode_dataset, codes": lambda: encode(False),
        "encode_dataset, codes and latents": lambda: encode(True),
    }
    report(f"Encoding {count} frames", interleaved(functions, device, rounds), "model.encode alone", "frames/s", count)
