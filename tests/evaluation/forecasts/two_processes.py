"""Run by both processes of test_evaluator.py: figures of five forecasts, and the number of those made here."""

import os
import sys
from pathlib import Path

import torch


def evaluate(rank: int, world_size: int) -> dict:
    """Figures of an untrained forecaster, and how many forecasts this process made for `validate`."""
    from smoke_vq import LatentProjection, SmokeFlowTransformer, SmokeImageProcessor, SmokeVQVAE
    from smoke_vq.data.frames import PackedFrames
    from smoke_vq.evaluation.forecasts.evaluator import ForecastEvaluator
    from smoke_vq.tokens import LatentSpace

    torch.manual_seed(0)
    channels = {"encoder_block_out_channels": [8, 16], "decoder_block_out_channels": [16, 8]}
    autoencoder = SmokeVQVAE(sample_size=16, latent_channels=8, layers_per_block=1, num_vq_embeddings=32, **channels)
    space = LatentSpace(autoencoder.eval(), LatentProjection(8, 2).eval())
    model = SmokeFlowTransformer(2, 8, 2, 3, num_layers=1, num_attention_heads=2, attention_head_dim=8).eval()
    for layer in (model.proj_in, model.proj_out):
        torch.nn.init.normal_(layer.weight, std=0.5)
    images = torch.randint(0, 256, (5 * 7, 16, 16, 3), dtype=torch.uint8)
    frames = PackedFrames(images, name="noise", sequences=torch.arange(5).repeat_interleave(7))
    share = {"rank": rank, "world_size": world_size}
    evaluator = ForecastEvaluator(frames, SmokeImageProcessor(size=16), space, 2, 3, 3, 2, **share)
    calls: list[int] = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    validation = evaluator.validate(model)
    hook.remove()
    evaluation = evaluator.evaluate(model)
    figures = {"validation": validation, "metrics": evaluation.metrics, "baselines": evaluation.baselines}
    return {"calls": len(calls), "figures": figures}


if __name__ == "__main__":
    from accelerate import Accelerator

    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    result = evaluate(accelerator.process_index, accelerator.num_processes)
    torch.save(result, Path(sys.argv[1]) / f"rank-{os.environ['RANK']}.pt")
    accelerator.end_training()
