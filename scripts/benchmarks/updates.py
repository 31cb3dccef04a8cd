"""What a training step does besides forward, backward and optimizer."""

import copy
import time

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel

from smoke_vq import SmokeVQVAE
from smoke_vq.training import TrainingArguments, VQVAEArguments, VQVAEObjective
from smoke_vq.training.player import clip_gradients

from .sizes import autoencoder_sizes
from .timing import interleaved


def updates(device: str, rounds: int) -> None:
    """Weight average and gradient clipping as shares of a bf16 step, ours and those of diffusers and torch.

    On a CPU in the CPU time of one thread, which other processes change little.
    """
    threads, clock = torch.get_num_threads(), time.perf_counter
    if device == "cpu":
        torch.set_num_threads(1)
        clock = time.process_time
    accelerator = Accelerator(mixed_precision="bf16")
    arguments = TrainingArguments.build(VQVAEArguments, dataset="none", codebook_init_vectors=0, revival_steps=0)
    objective = VQVAEObjective(accelerator, SmokeVQVAE(**autoencoder_sizes(device)), arguments, 1000)
    player = objective.player
    other = copy.deepcopy(player.unwrapped)  # its gradients stay
    parameters = list(other.parameters())
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    theirs = EMAModel(parameters, foreach=True)
    assert player.ema is not None
    every = player.ema.every

    def step(data: dict[str, torch.Tensor]) -> None:
        objective.begin_step([data], 2)
        objective.step(data)
        objective.end_step(2)

    def average() -> None:
        for _ in range(every):
            player.ema.step(player.parameters)

    batches = {}
    for size in (32, 64) if device == "cuda" else (4, 16):
        target = torch.rand(size, 3, 64, 64, device=device) * 2 - 1
        batches[size] = {"pixel_values": target, "mask": torch.ones(size, 1, 64, 64, device=device)}
    for data in batches.values():  # `average` then updates in one step of `every`
        for _ in range(every):
            step(data)
    parts = {
        "weight average": average,
        "weight average of diffusers": lambda: theirs.step(other.parameters()),
        "norm of the gradient": lambda: clip_gradients(parameters, float("inf")),
        "norm and scaling": lambda: clip_gradients(parameters, 1e-9),
        "norm and scaling of torch": lambda: torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0),
    }
    steps = {size: lambda data=data: step(data) for size, data in batches.items()}
    seconds = interleaved({**steps, **parts}, device, rounds, clock)
    seconds["weight average"] /= every
    seconds["both"] = seconds["weight average"] + seconds["norm of the gradient"]
    seconds["both, when the gradient is clipped"] = seconds["weight average"] + seconds["norm and scaling"]
    theirs_together = seconds["weight average of diffusers"] + seconds["norm and scaling of torch"]
    seconds["both, diffusers and torch"] = theirs_together
    shares = "  ".join(f"of {seconds[size] * 1e3:.0f} ms, batch {size}" for size in batches)
    name = "full" if device == "cuda" else "tiny"
    print(f"\nShares of a training step in bf16, {name} model, average every {every} steps: {shares}")
    for part in [name for name in seconds if name not in batches]:
        shares = "  ".join(f"{seconds[part] / seconds[size]:6.1%}" for size in batches)
        print(f"  {part:34s} {seconds[part] * 1e3:9.2f} ms  {shares}")
    torch.set_num_threads(threads)
