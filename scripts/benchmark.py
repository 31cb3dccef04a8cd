"""Speed as ratios: each part against its ideal and against others' code, interleaved in one run.

python scripts/benchmark.py                          # on a GPU: the full model; on a CPU: the tiny one
python scripts/benchmark.py --part quantizer
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from smoke_vq import SmokeVQVAE
from smoke_vq.command import run
from smoke_vq.data.frames import DatasetFrames, PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.losses import masked_mse
from smoke_vq.quantizers.vector_quantizer import VectorQuantizer, nearest_codes

TINY = Path(__file__).resolve().parent.parent / "configs" / "config_vqvae_tiny.yaml"


def interleaved(functions: dict[str, Callable[[], None]], device: str, rounds: int) -> dict[str, float]:
    """Median seconds of each function, called in turn so that a machine that slows down slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(rounds + 1):
        for name, function in functions.items():
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            function()
            if device == "cuda":
                torch.cuda.synchronize()
            if i > 0:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def report(title: str, seconds: dict[str, float], ideal: str, unit: str = "", amount: float = 0) -> None:
    print(f"\n{title} (ideal: {ideal})")
    for name, value in seconds.items():
        rate = f"  {amount / value:10.0f} {unit}" if amount else ""
        print(f"  {name:34s} {value * 1e3:9.2f} ms  {value / seconds[ideal]:6.2f} x{rate}")


def quantizer(device: str, rounds: int) -> None:
    """Search and whole forward and backward, at the full model's shape: 64 images, 8x8 latents, 1024 codes, D = 256."""
    from diffusers.models.autoencoders.vae import VectorQuantizer as DiffusersQuantizer

    ours = VectorQuantizer(1024, 256).to(device)
    theirs = DiffusersQuantizer(1024, 256, beta=0.1, legacy=False).to(device)
    theirs.embedding.weight.data.copy_(ours.codebook.data)
    latents = torch.randn(64, 256, 8, 8, device=device, requires_grad=True)
    rows = latents.detach().permute(0, 2, 3, 1).reshape(-1, 256)

    def ours_step():
        output = ours(latents)
        (output.quantized.sum() + sum(output.losses.values())).backward()

    def theirs_step():
        quantized, loss, _ = theirs(latents)
        (quantized.sum() + loss).backward()

    seconds = interleaved(
        {
            "bare matrix product": lambda: rows @ ours.codebook.detach().t(),
            "smoke_vq search": lambda: nearest_codes(rows, ours.codebook),
            "cdist + argmin": lambda: torch.cdist(rows, ours.codebook.detach()).argmin(1),
            "smoke_vq forward + backward": ours_step,
            "diffusers forward + backward": theirs_step,
        },
        device,
        rounds,
    )
    report("Quantizer, 4096 vectors", seconds, "bare matrix product", "vectors/s", 4096)


def training(device: str, rounds: int) -> None:
    """A training step (forward, backward, fused AdamW), against the matrix products that it cannot avoid."""
    full = device == "cuda"
    model = SmokeVQVAE(**({} if full else yaml.safe_load(TINY.read_text())["model"])).to(device)
    batch = 64 if full else 16
    target = torch.rand(batch, 3, 64, 64, device=device) * 2 - 1
    mask = torch.ones(batch, 1, 64, 64, device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    with FlopCounterMode(display=False) as counter:
        model(target[:1]).sample.sum().backward()
    model.zero_grad()
    flops = counter.get_total_flops() * batch
    side = 8192 if full else 2048
    square = torch.randn(side, side, device=device, dtype=torch.bfloat16)

    def step(network: torch.nn.Module, dtype: torch.dtype | None):
        with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
            output = network(target)
        (masked_mse(output.sample, target, mask) + sum(output.losses.values())).backward()
        optimizer.step()
        optimizer.zero_grad()

    functions = {
        "matrix product, bf16": lambda: square @ square,
        "float32": lambda: step(model, None),
        "bf16 autocast": lambda: step(model, torch.bfloat16),
    }
    if full:
        compiled = torch.compile(model)
        functions["bf16 autocast, compiled"] = lambda: step(compiled, torch.bfloat16)
    seconds = interleaved(functions, device, rounds)
    product = seconds.pop("matrix product, bf16")
    seconds = {"bf16 matrix products": product * flops / (2 * side**3)} | seconds
    title = (
        f"Training step, {'full' if full else 'tiny'} model, batch {batch}, {flops / batch / 1e9:.1f} GFLOP an image"
    )
    report(title, seconds, "bf16 matrix products", "images/s", batch)


def data(device: str, rounds: int) -> None:
    """Batches of 64 from memory and from PNG in Parquet, against an index into the tensor."""
    import datasets
    from PIL import Image

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


PARTS = {"quantizer": quantizer, "training": training, "data": data}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="+", default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=10)
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
