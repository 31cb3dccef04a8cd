"""Decode a folder of codes that encode_dataset.py wrote into a dataset of frames.

smoke-vq decode --model runs/tiny/best --input-dir data/plumes_codes --output-dir data/plumes_decoded
"""

import argparse
from pathlib import Path

from smoke_vq.model_config import AUTOENCODERS, check_model
from smoke_vq.script import run, use_all_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the model that encoded the frames: folder, or Hub name")
    parser.add_argument("--input-dir", type=Path, required=True, help="folder that encode_dataset.py wrote")
    parser.add_argument("--batch-size", type=int, default=256, help="frames decoded at a time")
    parser.add_argument(
        "--output-dir", required=True, help="new or empty folder, or one that an interrupted run started"
    )
    arguments = parser.parse_args()
    if arguments.batch_size < 1:
        raise ValueError(f"batch_size expects 1 or more, found {arguments.batch_size}.")
    check_model(arguments.model, AUTOENCODERS)
    if not arguments.input_dir.is_dir():
        raise FileNotFoundError(f"The folder {arguments.input_dir} does not exist.")
    from smoke_vq.tokens.files import check_code_folder  # imports torch

    check_code_folder(arguments.input_dir)
    from accelerate import Accelerator

    from smoke_vq.data.processor import SmokeImageProcessor
    from smoke_vq.models.auto import AutoAutoencoder
    from smoke_vq.tokens import decode_dataset

    accelerator = Accelerator()
    use_all_cores(accelerator)
    model = AutoAutoencoder.from_pretrained(arguments.model).to(accelerator.device).eval()
    processor = SmokeImageProcessor.from_pretrained(arguments.model)
    place = dict(rank=accelerator.process_index, world_size=accelerator.num_processes)
    decode_dataset(
        model, processor, arguments.input_dir, arguments.output_dir, batch_size=arguments.batch_size, **place
    )
    accelerator.print(f"{arguments.output_dir} is complete.")
    accelerator.end_training()


if __name__ == "__main__":
    run(main)
