"""Encode a dataset of smoke frames into codes and, by choice, latents: Parquet files and a card.

smoke-vq encode --model runs/tiny/best --dataset simulated:small --output-dir data/plumes_codes
accelerate launch scripts/encode_dataset.py --model user/repo --dataset data/rise64 --latents --output-dir data/codes
smoke-vq encode --model user/repo --dataset videos --splits train --resize --fps 12 --output-dir data/codes

A folder of videos is the split train, and a folder of folders of videos has their names as splits; each video is a
sequence. Its frames are encoded as they are: smoke-vq prepare cuts smoke out of videos. --fps takes a number of frames
per second from every video, whatever its own frame rate.

The processes of `accelerate launch` or `torchrun` share the work, on a folder that all of them see. An interrupted run
continues if it is started again with the same settings.
"""

import argparse

from accelerate import Accelerator

from smoke_vq.data.mirrored_frames import WithMirroredFrames
from smoke_vq.data.sources import check_sources, load_frames
from smoke_vq.hub.provenance import describe_data, public_name
from smoke_vq.model_config import AUTOENCODERS, check_model, frame_size
from smoke_vq.script import run, use_all_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model, or Hub name 'user/repo'")
    parser.add_argument("--revision", help="branch, tag or commit of a model on the Hub")
    parser.add_argument(
        "--dataset",
        required=True,
        help="folder of a dataset or of videos, .safetensors file, Hub name or 'simulated:CONFIG'",
    )
    parser.add_argument("--splits", nargs="+", default=["train", "validation"])
    parser.add_argument("--latents", action="store_true", help="write the latents before quantization too, as float16")
    parser.add_argument("--mirror", action="store_true", help="encode mirrored frames too, after the others")
    parser.add_argument("--rows-per-file", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=256, help="frames encoded at a time")
    parser.add_argument("--resize", action="store_true", help="resize frames of another size")
    parser.add_argument("--fps", type=float, help="frames per second that are taken of videos (default: all frames)")
    parser.add_argument(
        "--output-dir", required=True, help="new or empty folder, or one that an interrupted run started"
    )
    arguments = parser.parse_args()
    for name in ("rows_per_file", "batch_size"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"{name} expects 1 or more, found {getattr(arguments, name)}.")
    check_model(arguments.model, AUTOENCODERS, revision=arguments.revision)
    check_sources([arguments.dataset], arguments.splits, frame_size(arguments.model), arguments.fps)
    from smoke_vq.data.processor import SmokeImageProcessor
    from smoke_vq.models.auto import AutoAutoencoder
    from smoke_vq.tokens import encode_dataset

    accelerator = Accelerator()
    use_all_cores(accelerator)
    download = {} if arguments.revision is None else {"revision": arguments.revision}
    model = AutoAutoencoder.from_pretrained(arguments.model, **download).to(accelerator.device).eval()
    processor = SmokeImageProcessor.from_pretrained(arguments.model, **download)
    with accelerator.main_process_first():
        splits = {
            split: load_frames(
                arguments.dataset,
                split,
                processor.height,
                packed=False,
                resize=arguments.resize,
                fps=arguments.fps,
            )
            for split in arguments.splits
        }
    if arguments.mirror:
        splits = {split: WithMirroredFrames(frames) for split, frames in splits.items()}
    data = describe_data(arguments.dataset, ", ".join(arguments.splits))
    if arguments.fps is not None:
        data["fps"] = arguments.fps
    encode_dataset(
        model,
        processor,
        splits,
        arguments.output_dir,
        encoder={"name": public_name(arguments.model), "revision": arguments.revision},
        data=data,
        latents=arguments.latents,
        rows_per_file=arguments.rows_per_file,
        batch_size=arguments.batch_size,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    accelerator.print(f"{arguments.output_dir} is complete.")
    accelerator.end_training()


if __name__ == "__main__":
    run(main)
