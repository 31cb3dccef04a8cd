"""Measure a model on a dataset split, beside two baselines: a table, metrics.json and a picture.

python scripts/evaluate.py --model runs/my_vqvae/best --dataset data/rise64 --split validation --output-dir evaluation
"""

import argparse
import json
from pathlib import Path

from accelerate import Accelerator

from smoke_vq import SmokeVQGAN, SmokeVQVAE
from smoke_vq.command import run
from smoke_vq.data.loading import load_frames
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.metrics import markdown_table
from smoke_vq.models.pretrained import config_class_name
from smoke_vq.registry import choose
from smoke_vq.training import ReconstructionEvaluator, use_all_cores

MODELS = {"SmokeVQVAE": SmokeVQVAE, "SmokeVQGAN": SmokeVQGAN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model, or Hub name 'user/repo'")
    parser.add_argument("--dataset", required=True, help="prepared folder, .safetensors file or Hub name 'user/name'")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-frames", type=int, help="at most so many frames, evenly spaced")
    parser.add_argument("--num-images", type=int, default=8, help="frames in the picture")
    parser.add_argument("--mixed-precision", choices=["no", "bf16", "fp16"])
    parser.add_argument("--output-dir", type=Path, default=Path("evaluation"))
    arguments = parser.parse_args()
    for name in ("batch_size", "max_frames", "num_images"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise ValueError(f"{name} expects 1 or more, found {getattr(arguments, name)}.")

    accelerator = Accelerator(mixed_precision=arguments.mixed_precision)
    use_all_cores(accelerator)
    model_class = choose(MODELS, config_class_name(arguments.model), "model class")
    model = model_class.from_pretrained(arguments.model).to(accelerator.device).eval()
    processor = SmokeImageProcessor.from_pretrained(arguments.model)
    with accelerator.main_process_first():
        frames = load_frames(arguments.dataset, arguments.split, processor.size, max_frames=arguments.max_frames)
    evaluator = ReconstructionEvaluator(accelerator, frames, processor, arguments.batch_size, arguments.num_images)
    evaluation = evaluator.evaluate(model)

    if accelerator.is_main_process:
        columns = {arguments.model: evaluation.metrics} | evaluation.baselines
        arguments.output_dir.mkdir(parents=True, exist_ok=True)
        (arguments.output_dir / "metrics.json").write_text(json.dumps(columns, indent=2) + "\n")
        evaluation.picture.save(arguments.output_dir / "reconstructions.png")
        print(f"{markdown_table(columns)}\n\nmetrics.json and reconstructions.png: {arguments.output_dir}")


if __name__ == "__main__":
    run(main)
