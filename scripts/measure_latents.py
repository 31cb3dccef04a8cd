"""Measure the mean and standard deviation of a model's latents, and save the model with them in its config.json.

smoke-vq measure-latents --model user/repo --dataset data/rise64 --output-dir models/with_statistics

Training does this at its end; this script is for models that were trained without, or for other data.
"""

import argparse
import shutil
from pathlib import Path

from accelerate import Accelerator

from smoke_vq.data.sources import check_sources, load_frames
from smoke_vq.model_config import AUTOENCODERS, check_model, frame_size
from smoke_vq.script import run, use_all_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model, or Hub name 'user/repo'")
    parser.add_argument("--dataset", nargs="+", required=True, help="as for training; several are joined")
    parser.add_argument("--split", default="train")
    parser.add_argument("--max-frames", type=int, help="at most so many frames, evenly spaced")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--output-dir", type=Path, required=True, help="new folder for the model")
    arguments = parser.parse_args()
    if arguments.output_dir.exists():
        raise ValueError(f"{arguments.output_dir} already exists: choose a new folder.")
    check_model(arguments.model, AUTOENCODERS)
    check_sources(arguments.dataset, [arguments.split], frame_size(arguments.model))
    from smoke_vq.data.loader import FrameLoader
    from smoke_vq.data.processor import SmokeImageProcessor
    from smoke_vq.models.auto import AutoAutoencoder
    from smoke_vq.tokens import latent_statistics

    accelerator = Accelerator()
    use_all_cores(accelerator)
    model = AutoAutoencoder.from_pretrained(arguments.model).to(accelerator.device).eval()
    processor = SmokeImageProcessor.from_pretrained(arguments.model)
    with accelerator.main_process_first():
        frames = load_frames(arguments.dataset, arguments.split, processor.height, max_frames=arguments.max_frames)
    place = dict(device=accelerator.device, rank=accelerator.process_index, world_size=accelerator.num_processes)
    mean, std = latent_statistics(model, FrameLoader(frames, processor, arguments.batch_size, **place), accelerator)
    model.register_to_config(latents_mean=mean, latents_std=std)
    if accelerator.is_main_process:
        partial = arguments.output_dir.with_name(arguments.output_dir.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
        partial.rename(arguments.output_dir)
        print(f"{arguments.output_dir}: statistics of {len(frames)} frames.")
    accelerator.end_training()


if __name__ == "__main__":
    run(main)
