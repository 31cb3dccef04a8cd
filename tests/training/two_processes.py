"""Run by both processes of test_distributed.py: training steps on half of a batch, and a report."""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def halves() -> list[dict[str, torch.Tensor]]:
    """Two halves of a batch: four frames with little smoke, and four with much."""
    from training_runs import batch

    whole = batch(8)
    order = whole["mask"].sum(dim=(1, 2, 3)).argsort()
    return [{name: tensor[order][part] for name, tensor in whole.items()} for part in (slice(0, 4), slice(4, 8))]


def learn(parts: list[dict[str, torch.Tensor]], quantizer: str) -> dict:
    """Initialize a codebook and take twelve steps with revivals; `parts` are the halves of the batch."""
    from accelerate import Accelerator
    from training_runs import MODEL

    from smoke_vq import SmokeVQVAE
    from smoke_vq.training import TrainingArguments, VQVAEArguments, VQVAEObjective
    from smoke_vq.training.recipes import codebook_health

    codebook_health.USAGE_DECAY = 0.2
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    half = parts[rank] if accelerator.num_processes > 1 else {n: torch.cat([p[n] for p in parts]) for n in parts[0]}
    torch.manual_seed(0)
    flags = {"dataset": "blobs", "lr": 1e-3, "warmup_steps": 0, "lr_scheduler": "constant"}
    arguments = TrainingArguments.build(VQVAEArguments, codebook_init_vectors=512, revival_steps=3, **flags)
    trained = VQVAEObjective(
        accelerator, SmokeVQVAE(**MODEL, quantizer_type=quantizer).double(), arguments, num_steps=100
    )
    network = trained.player.unwrapped
    report = {"processes": accelerator.num_processes}
    trained.begin_training([half])
    report["start"] = network.quantizer.codebook.detach().clone()
    for step in range(1, 13):
        trained.begin_step([half], step)
        with accelerator.accumulate(trained.player.network):
            losses = trained.step(half)
        if step == 1:
            moments = trained.player.optimizer.optimizer.state
            report["gradients"] = [moments[p]["exp_avg"].clone() for p in network.parameters() if p.requires_grad]
            report["losses"] = {name: float(accelerator.reduce(loss, "mean")) for name, loss in losses.items()}
        trained.end_step(step)
        if step in (1, 12):
            report[f"weights after {step}"] = [value.detach().clone() for value in network.state_dict().values()]
    health = trained.autoencoder.quantizer_training.healths[0]
    report |= {"end": network.quantizer.codebook.detach().clone(), "revived": health.num_revived}
    report["usage"] = health.usage
    accelerator.end_training()
    return report


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = learn(halves(), sys.argv[2])
    torch.save(result, Path(sys.argv[1]) / f"rank-{os.environ['RANK']}.pt")
