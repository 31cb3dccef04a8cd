"""How cost grows with the size of images, the number of codes, of frames and of processes."""

import os
import socket
import time
from collections.abc import Callable

import torch

from smoke_vq import SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.order import mixed_order, permutation, proportional_order
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.losses import masked_mse
from smoke_vq.quantizers.nearest import nearest_codes

from .memory import peak, reset_peak
from .sizes import autoencoder_sizes
from .timing import Rounds, clock, interleaved, report_growth

SIZES = (64, 96, 128, 192, 256)
CODES = (1_024, 4_096, 16_384, 65_536, 262_144)
FRAMES = (10_000, 100_000, 1_000_000, 10_000_000)


def growth(device: str, rounds: int) -> None:
    """Index structures by number of frames, the tiny model by image size, the search by codes, a step by processes.

    On a CPU, seconds are those of the process, not of the clock, except for steps on several processes.
    """
    frames(rounds)
    image_size(device, rounds)
    codes(device, rounds)
    if device == "cpu":
        processes(rounds)


def image_size(device: str, rounds: int) -> None:
    """Forward and backward of one image, against its number of pixels."""
    network = SmokeVQVAE(**autoencoder_sizes("cpu")).to(device)

    def step(size: int) -> Callable[[], object]:
        target = torch.rand(1, 3, size, size, device=device) * 2 - 1

        def run() -> None:
            output = network(target)
            (output.sample.square().mean() + sum(output.losses.values())).backward()

        return run

    seconds = interleaved({str(size): step(size) for size in SIZES}, device, rounds, clock(device))
    report_growth("Forward and backward, tiny model", "pixels", [size**2 for size in SIZES], list(seconds.values()))


def codes(device: str, rounds: int) -> None:
    """The search of 1,024 vectors of dimension 64 among K codes."""
    vectors = torch.randn(1024, 64, device=device)
    books = {str(count): torch.randn(count, 64, device=device) for count in CODES}
    searches = {name: lambda book=book: nearest_codes(vectors, book) for name, book in books.items()}
    seconds = interleaved(searches, device, rounds, clock(device))
    report_growth("Nearest codes of 1,024 vectors", "codes", list(CODES), list(seconds.values()))


def frames(rounds: int) -> None:
    """What a loader does for N frames before the first batch: order of an epoch, rows of batches, a fingerprint.

    Memory is the peak of a call above what the process had before, with its result: an order is 8 bytes a frame.
    """
    results: dict[str, list[tuple[Rounds, float]]] = {}
    for count in FRAMES:
        packed = PackedFrames(torch.zeros(count, 1, 1, 3, dtype=torch.uint8))
        loader = FrameLoader(packed, SmokeImageProcessor(size=8), 64, shuffle=True)
        weights = torch.rand(count, dtype=torch.float64)
        functions = {
            "order of an epoch": lambda count=count: permutation(count, 0, 1),
            "order of a mix": lambda count=count: mixed_order([count // 4, count - count // 4], [1, 2], 0, 1),
            "order by smoke": lambda weights=weights: proportional_order(weights, 0, 1),
            "rows of all batches": lambda loader=loader: loader.rows(1),
            "fingerprint, 3 bytes a frame": packed.fingerprint,
        }
        for name, function in functions.items():
            times, memory = [], []
            for _ in range(min(rounds, 3)):
                before, started = reset_peak(), time.process_time()
                function()
                times.append(time.process_time() - started)
                memory.append((peak() - before) / count)
            results.setdefault(name, []).append((Rounds(times), max(memory)))
    for name, measured in results.items():
        report_growth(f"Frames: {name}", "frames", list(FRAMES), [seconds for seconds, _ in measured])
        print(f"  {measured[-1][1]:.0f} bytes a frame at {FRAMES[-1]:,d} frames")


def processes(rounds: int) -> None:
    """A step of the tiny model on 1 and 2 processes of one thread and 16 frames each: what a frame costs."""
    seconds = []
    for count in (1, 2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        queue = torch.multiprocessing.get_context("spawn").SimpleQueue()
        torch.multiprocessing.spawn(_steps, (count, port, rounds, queue), nprocs=count)
        seconds.append(Rounds(value / (16 * count) for value in queue.get().values))
    report_growth("Training, tiny model, bf16, seconds a frame", "processes", [1, 2], seconds)


def _steps(rank: int, count: int, port: int, rounds: int, queue) -> None:
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=count)
    network = torch.nn.parallel.DistributedDataParallel(SmokeVQVAE(**autoencoder_sizes("cpu")))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)
    target, mask = torch.rand(16, 3, 64, 64) * 2 - 1, torch.ones(16, 1, 64, 64)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = network(target)
        (masked_mse(output.sample, target, mask) + sum(output.losses.values())).backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = interleaved({"step": step}, "cpu", rounds)["step"]
    if rank == 0:
        queue.put(seconds)
    torch.distributed.destroy_process_group()
