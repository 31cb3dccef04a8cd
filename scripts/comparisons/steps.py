"""The time of a training step."""

from collections.abc import Callable
from pathlib import Path

import torch
from benchmarks.timing import interleaved

from smoke_vq import SmokeVQVAE
from smoke_vq.training import VQVAEArguments, VQVAEObjective, make_accelerator, parse_arguments

from . import peers

ROUNDS = 10


def step_seconds(configurations: list[Path], flags: list[str], with_peers: bool) -> list[float]:
    """Median seconds of a step of each training, called in turn, so that a slower machine slows all of them."""
    if with_peers:
        peers.register()
    steps = {str(path): _step_of(path, flags) for path in configurations}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return [float(seconds) for seconds in interleaved(steps, device, ROUNDS).values()]


def _step_of(configuration: Path, flags: list[str]) -> Callable[[], None]:
    """A step as in the middle of a training, without k-means and revival, on random frames."""
    quantized = ["--continuous-steps", "0", "--codebook-init-vectors", "0", "--revival-steps", "0"]
    arguments = parse_arguments(VQVAEArguments, ["--config", str(configuration), *flags, *quantized])
    accelerator = make_accelerator(arguments)
    model = SmokeVQVAE(**arguments.recipe.model)
    objective = VQVAEObjective(accelerator, model, arguments, num_steps=1000)
    size, count = model.config.sample_size, arguments.data.batch_size
    frames = torch.rand(count, 3, size, size, device=accelerator.device) * 2 - 1
    batch = {"pixel_values": frames, "mask": torch.ones_like(frames[:, :1])}

    def step() -> None:
        objective.begin_step([batch], 2)
        objective.step(batch)
        objective.end_step(2)

    return step
