"""A validation beside a training step."""

import time

import torch
from accelerate import Accelerator

from smoke_vq import SmokeImageProcessor, SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.evaluation.evaluator import ReconstructionEvaluator
from smoke_vq.training import TrainingArguments, VQVAEArguments, VQVAEObjective
from smoke_vq.training.builders import VALIDATION_SHARE

from .sizes import autoencoder_sizes
from .timing import interleaved


def validation(device: str, rounds: int) -> None:
    """Time of a frame in a validation and in a training step, in bf16; on a CPU in the CPU time of one thread."""
    threads, clock, batch = torch.get_num_threads(), time.perf_counter, 64
    if device == "cpu":
        torch.set_num_threads(1)
        clock, batch = time.process_time, 16
    accelerator = Accelerator(mixed_precision="bf16")
    arguments = TrainingArguments.build(VQVAEArguments, dataset="none", codebook_init_vectors=0, revival_steps=0)
    objective = VQVAEObjective(accelerator, SmokeVQVAE(**autoencoder_sizes(device)), arguments, 1000)
    frames = PackedFrames(torch.randint(0, 256, (4 * batch, 64, 64, 3), dtype=torch.uint8))
    processor = SmokeImageProcessor()
    evaluator = ReconstructionEvaluator(accelerator, frames, processor, batch)
    data = processor.to_batch(frames.images[:batch].to(accelerator.device))

    def step() -> None:
        objective.begin_step([data], 2)
        objective.step(data)
        objective.end_step(2)

    def validate() -> None:
        with objective.player.averaged() as model:
            evaluator.validate(model)

    seconds = interleaved({"step": step, "validation": validate}, device, rounds, clock)
    of_step, of_validation = seconds["step"] / batch, seconds["validation"] / len(frames)
    print(
        f"\nA frame in a training step of batch {batch} {of_step * 1e3:.2f} ms, in a validation "
        f"{of_validation * 1e3:.2f} ms ({of_validation / of_step:.0%}); a validation of {VALIDATION_SHARE:.0%} of the "
        f"number of training frames takes {VALIDATION_SHARE * of_validation / of_step:.1%} of an epoch's steps"
    )
    torch.set_num_threads(threads)
