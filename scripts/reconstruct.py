"""Turn a video into codes and back, and show it: original, cut-out, codes, reconstruction and error side by side.

Smoke is cut out of a video of a static camera first, because the models know smoke on black only; a video, photo or
folder that shows smoke on black already is taken as it is. Videos may have any length. Writes an MP4, and a GIF of its
first 100 frames; a PNG for a photo.

smoke-vq reconstruct video.mp4
smoke-vq reconstruct video.mp4 --model runs/tiny/best --fps 12 --output-dir films
smoke-vq reconstruct folder_of_videos
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from smoke_vq.checks import check_count, check_positive, usable_device
from smoke_vq.films import check_film_format, film_file
from smoke_vq.model_config import AUTOENCODERS, check_model
from smoke_vq.pictures import error_map, fitting_scale, image_grid
from smoke_vq.preparation.folder import open_atomically
from smoke_vq.preparation.matting.chunks import CUT_OUT, MIN_FRAMES, Chunk, as_they_are, choose_way, cut_out_chunks
from smoke_vq.preparation.matting.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, video_info
from smoke_vq.script import run

SHORT_FILM = 100  # frames of a GIF or WebP
ERROR_GAIN, TILE, BATCH = 4, 192, 32


def main() -> None:
    arguments = parse_arguments()
    clips = find_clips(arguments.input)
    check_model(arguments.model, AUTOENCODERS)
    if arguments.output_dir.is_file():
        raise ValueError(f"The output '{arguments.output_dir}' is a file: expected a folder.")
    if len(clips) == 1 and clips[0].suffix.lower() in VIDEO_SUFFIXES:
        video_info(clips[0])  # a damaged one need not wait for the imports, which take seconds
    device = usable_device(arguments.device)
    from smoke_vq import SmokeImageProcessor
    from smoke_vq.models.auto import AutoAutoencoder

    model = AutoAutoencoder.from_pretrained(arguments.model).to(device).eval()
    processor = SmokeImageProcessor.from_pretrained(arguments.model)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    failed = []
    for path in clips:
        try:
            reconstruct(path, model, processor, arguments)
        except (ValueError, OSError) as error:
            if len(clips) == 1:
                raise
            failed.append(str(error))
    if failed:
        raise ValueError(f"{len(failed)} of {len(clips)} clips could not be shown: {' '.join(failed)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, help="video, photo, NumPy file of frames, or folder of videos or images")
    parser.add_argument(
        "--model", default="nano", help="folder of a saved model, or Hub name (default: nano, installed)"
    )
    parser.add_argument("--cut-out", choices=["auto", "yes", "no"], default="auto", help="of smoke (default: auto)")
    parser.add_argument("--fps", type=float, help="frames per second that are taken of a video (default: all frames)")
    parser.add_argument("--max-frames", type=int, help="stop after this many frames")
    parser.add_argument("--formats", nargs="+", choices=["mp4", "gif", "webp"], default=["mp4", "gif"])
    parser.add_argument("--output-dir", type=Path, default=Path("reconstructions"))
    parser.add_argument("--device", help="such as cuda or cpu (default: cuda if there is one)")
    arguments = parser.parse_args()
    if arguments.fps is not None:
        check_positive("fps", arguments.fps)
    if arguments.max_frames is not None:
        check_count("max_frames", arguments.max_frames)
    for suffix in arguments.formats:
        check_film_format(Path(f"film.{suffix}"))
    return arguments


def find_clips(path: Path) -> list[Path]:
    """The clips that `path` names: itself, or the videos in it.

    Raises:
        OSError: it does not exist, or is an empty folder.
        ValueError: a file of another type, or two videos of one name, whose films would have one too.
    """
    if path.is_dir():
        videos = sorted(file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
        images = any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir())
        if not videos and not images:
            raise FileNotFoundError(f"The folder {path} contains neither videos nor images.")
        stems = Counter(video.stem for video in videos)
        if videos and max(stems.values()) > 1:
            raise ValueError(f"The folder {path} has {max(stems.values())} videos named {max(stems, key=stems.get)!r}.")
        return videos or [path]
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    known = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES, ".npy", ".npz")
    if path.suffix.lower() not in known:
        raise ValueError(f"{path} ends in {path.suffix!r}: expected one of {', '.join(known)}.")
    return [path]


def reconstruct(path: Path, model, processor, arguments: argparse.Namespace) -> None:
    """Write the films of one clip, and print what was found."""
    from smoke_vq.data.clips import open_clip
    from smoke_vq.tokens.colours import colours_of

    frames, fps, total = open_clip(path, processor.height, arguments.fps, arguments.max_frames)
    first = list(islice(frames, MIN_FRAMES))
    way = choose_way(path.name, first, processor.height, arguments.cut_out)
    chunks = (cut_out_chunks if way == CUT_OUT else as_they_are)(chain(first, frames), processor.height)
    seen, colours = Seen(), colours_of(model, processor)
    drawn = tqdm(
        (picture for chunk in chunks for picture in draw(chunk, way, model, processor, colours, seen)),
        total=total, unit="frames", desc=path.name,
    )  # fmt: skip
    stem = arguments.output_dir / f"{path.stem}_reconstruction"
    if len(first) == 1:
        written = [stem.with_name(f"{stem.name}.png")]
        with open_atomically(written[0]) as file:
            next(iter(drawn)).save(file, format="PNG")
        drawn.close()
    else:
        written = [stem.with_name(f"{stem.name}.{suffix}") for suffix in arguments.formats]
        with ExitStack() as stack:
            writers = [stack.enter_context(film_file(film, fps)) for film in written]
            for number, picture in enumerate(drawn):
                for film, writer in zip(written, writers, strict=True):
                    if film.suffix == ".mp4" or number < SHORT_FILM:
                        writer.add(picture)
    print("\n".join([*seen.sentences(way, model), f"{', '.join(film.name for film in written)}: {stem.parent}"]))


class Seen:
    """What was found in the frames of a clip."""

    def __init__(self):
        from smoke_vq.metrics import make_metrics

        self.metrics = make_metrics(["image", "codebook"])
        self.num_frames = self.num_smoky = 0
        self.failed: Counter[str] = Counter()

    def add(self, chunk: Chunk) -> None:
        self.num_frames += len(chunk.image)
        self.num_smoky += int(chunk.image.any(axis=(1, 2, 3)).sum())
        if chunk.failed:
            self.failed[chunk.failed] += len(chunk.image)

    def sentences(self, way: str, model) -> list[str]:
        image, codes = (metric.compute() for metric in self.metrics)
        found = [way]
        if self.failed:
            reasons = ", ".join(f"{reason} in {count} frames" for reason, count in self.failed.most_common())
            found.append(f"The cut-out may be wrong: {reasons}.")
        if self.num_smoky < self.num_frames:
            found.append(f"{self.num_frames - self.num_smoky} of {self.num_frames} frames have no smoke.")
        masked = f", masked MSE {image['masked_mse']:.4f}" if "masked_mse" in image else ""
        used = f"{codes['num_codes_used']} of {model.quantizer.num_codes * model.quantizer.depth} codes in use"
        return [*found, f"PSNR {image['psnr']:.1f} dB{masked}, {used}."]


def draw(chunk: Chunk, way: str, model, processor, colours: np.ndarray, seen: Seen) -> Iterator[Image.Image]:
    """The pictures of a chunk; adds it to what was seen."""
    import torch

    from smoke_vq.metrics import Batch
    from smoke_vq.tokens.colours import first_codes

    seen.add(chunk)
    num_codes = model.quantizer.num_codes
    for start in range(0, len(chunk.image), BATCH):
        part = slice(start, start + BATCH)
        alpha = None if chunk.alpha is None else chunk.alpha[part]
        inputs = processor(chunk.image[part], alpha).to(model.device)
        with torch.no_grad():
            indices = model.encode(inputs["pixel_values"]).indices
            sample = model.decode_indices(indices).sample
        batch = Batch(sample, inputs["pixel_values"], inputs["mask"], indices=indices, num_codes=num_codes)
        for metric in seen.metrics:
            metric.update(batch)
        output = processor.postprocess(sample, "np")
        columns = {"original": chunk.original[part]} if way == CUT_OUT else {}
        columns |= {
            "smoke on black" if way == CUT_OUT else "input": chunk.image[part],
            "codes": enlarge(colours[first_codes(indices)], output.shape[1]),
            "from the codes": output,
            f"error x{ERROR_GAIN}": error_map(output, chunk.image[part], ERROR_GAIN),
        }
        for row in zip(*columns.values(), strict=True):
            yield image_grid([row], scale=fitting_scale(output[0], TILE), column_labels=list(columns))


def enlarge(grids: np.ndarray, size: int) -> np.ndarray:
    """(N, h, w, 3) to (N, size, size, 3), by repeating pixels."""
    return grids.repeat(size // grids.shape[1], axis=1).repeat(size // grids.shape[2], axis=2)


if __name__ == "__main__":
    run(main)
