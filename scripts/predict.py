"""Predict how a plume moves: a clip in, a film of the forecast out.

The film shows the truth, if it is known, the mean of the samples, three of them, and their spread. If the truth is
known, a figure beside the film shows the PSNR by predicted frame.

smoke-vq predict --model runs/forecast/forecaster --input clip.mp4 --output forecast.mp4
smoke-vq predict --model user/forecaster --input frames/ --observed 16 --output forecast.webp
smoke-vq predict --input simulated:2000000000 --save-frames forecast.npz
"""

import argparse
import io
from pathlib import Path

import numpy as np
import torch

from smoke_vq import NANO_FORECASTER, PlumeSettings, simulate_plumes
from smoke_vq.checks import check_positive, usable_device
from smoke_vq.data.clips import check_frame_size, clip_values, read_clip
from smoke_vq.evaluation.forecasts.cases import ForecastCase
from smoke_vq.evaluation.forecasts.pictures import check_matplotlib
from smoke_vq.evaluation.forecasts.pictures.film import draw_film
from smoke_vq.evaluation.forecasts.references import REPEAT
from smoke_vq.evaluation.forecasts.references.persistence import repeat
from smoke_vq.evaluation.forecasts.scores.base import Forecast
from smoke_vq.evaluation.forecasts.scores.psnr import PSNR
from smoke_vq.films import check_film_format, film_bytes
from smoke_vq.flow_matching import SAMPLERS
from smoke_vq.layout import PIPELINE, PROCESSOR_FOLDER
from smoke_vq.model_config import check_model, frame_size
from smoke_vq.pixels import to_images
from smoke_vq.preparation.folder import write_atomically
from smoke_vq.registry import choose
from smoke_vq.script import run

_SIMULATED = "simulated:"
_SIMULATED_PAST = 16  # observed frames of a simulated plume
_NUM_SAMPLES = 6


def main() -> None:
    arguments = parse_arguments()
    check_model(arguments.model, ["SmokeForecastPipeline"], PIPELINE)
    size = frame_size(arguments.model, PROCESSOR_FOLDER)
    frames = None if size is None else read_input(arguments, size)  # before the imports, which take seconds
    from smoke_vq.pipelines.forecast import SmokeForecastPipeline

    pipeline = SmokeForecastPipeline.from_pretrained(arguments.model).to(arguments.device)
    if frames is None:  # a model on the Hub
        frames = read_input(arguments, pipeline.processor.height)
    num_observed = len(frames) if arguments.observed is None else arguments.observed
    has_truth = num_observed < len(frames)
    pixel_values = clip_values(frames, pipeline.processor, arguments.resize)[0][0]
    past, truth = pixel_values[:num_observed], pixel_values[num_observed:][: arguments.num_frames]
    is_random = pipeline.transformer.coupling.is_random
    members = pipeline(
        past,
        num_frames=arguments.num_frames,
        num_inference_steps=arguments.num_inference_steps,
        num_samples=arguments.num_samples or (_NUM_SAMPLES if is_random else 1),
        generator=torch.Generator().manual_seed(arguments.seed),
        output_type="pt",
        sampler=arguments.sampler,
    ).frames
    past = past[-pipeline.transformer.config.num_previous :]
    film = draw_film(past, members, truth if has_truth else None)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.output, film_bytes(film, arguments.output.suffix.lower(), arguments.fps))
    print(f"{arguments.output}: {len(members)} forecast(s) of {arguments.num_frames} frames from {num_observed}.")
    if has_truth:
        write_errors(arguments.output.with_name(f"{arguments.output.stem}_psnr.png"), past, members, truth)
    if arguments.save_frames:
        write_frames(arguments.save_frames, past, members, truth)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default=NANO_FORECASTER, help="folder of a forecaster, or Hub name (default: that of the repository)"
    )
    parser.add_argument(
        "--input", required=True, help="video, folder of images, npz or npy file, or 'simulated:SEED', a plume"
    )
    parser.add_argument(
        "--observed", type=int, help="frames at the start that are observed; those after them are the truth "
        f"(default: all; {_SIMULATED_PAST} of a simulated plume)",
    )  # fmt: skip
    parser.add_argument(
        "--input-fps", type=float, help="frames per second that are taken of a video (default: all frames)"
    )
    parser.add_argument("--resize", action="store_true", help="resize frames of another size instead of refusing them")
    parser.add_argument("--num-frames", type=int, default=16, help="frames to predict (default: 16)")
    parser.add_argument("--num-samples", type=int, help=f"forecasts (default: {_NUM_SAMPLES}; 1 of a regression)")
    parser.add_argument("--num-inference-steps", type=int, default=10, help="evaluations of the model (default: 10)")
    parser.add_argument("--sampler", default="euler", help=f"one of {', '.join(SAMPLERS)} (default: euler)")
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    parser.add_argument("--output", type=Path, default=Path("forecast.webp"), help="film: .webp, .gif or .mp4")
    parser.add_argument("--fps", type=float, default=6, help="frames of the film per second (default: 6)")
    parser.add_argument("--save-frames", type=Path, metavar="FILE", help="write observed, prediction and truth as npz")
    parser.add_argument("--device", help="such as cuda or cpu (default: cuda if there is one)")
    arguments = parser.parse_args()
    for name in ("observed", "num_frames", "num_samples", "num_inference_steps", "fps"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"{name.replace('_', '-')} expects 1 or more, found {value}.")
    if arguments.input_fps is not None:
        check_positive("input-fps", arguments.input_fps)
    choose(SAMPLERS, arguments.sampler, "sampler")
    check_film_format(arguments.output)
    arguments.device = usable_device(arguments.device)
    if arguments.input.startswith(_SIMULATED) and arguments.observed is None:
        arguments.observed = _SIMULATED_PAST
    return arguments


def read_input(arguments: argparse.Namespace, size: int) -> np.ndarray:
    """(T, H, W, 3) uint8, with the truth if it is known.

    Raises:
        OSError, ValueError: as `read_clip`; frames of another size than `size` that are not to be resized; fewer frames
            than are to be observed; a truth without matplotlib, which draws its figure.
    """
    frames = simulate(arguments, size) if arguments.input.startswith(_SIMULATED) else read(arguments, size)
    if arguments.observed is not None and arguments.observed > len(frames):
        raise ValueError(f"observed is {arguments.observed}, but {arguments.input} has {len(frames)} frames.")
    if arguments.observed is not None and arguments.observed < len(frames):
        check_matplotlib()
    return frames


def read(arguments: argparse.Namespace, size: int) -> np.ndarray:
    """(T, H, W, 3) uint8 from the input, of any size if it is to be resized."""
    frames = read_clip(arguments.input, size if arguments.resize else None, arguments.input_fps)
    if not arguments.resize:
        check_frame_size(*frames.shape[1:3], size, "--resize resizes them")
    return frames


def simulate(arguments: argparse.Namespace, size: int) -> np.ndarray:
    """(T, H, W, 3) uint8 of a simulated plume."""
    seed = arguments.input.removeprefix(_SIMULATED)
    if not seed.isdecimal() or int(seed) >= 2**32 - 1:
        raise ValueError(f"{_SIMULATED} expects the seed of a plume, from 0 to {2**32 - 2}, found {seed!r}.")
    num_frames = arguments.observed + arguments.num_frames
    return simulate_plumes([int(seed)], PlumeSettings(size, num_frames))[0].image


def write_errors(path: Path, past: torch.Tensor, members: torch.Tensor, truth: torch.Tensor) -> None:
    """Draw the PSNR by predicted frame, and print its means."""
    from matplotlib.figure import Figure

    case = ForecastCase("clip", "clip", to_images(past).numpy(), to_images(truth)[None].numpy())
    forecast = PSNR().measure(Forecast(members[:, : len(truth)], truth))
    curves = {
        "mean of the samples": forecast["psnr_mean"],
        "a sample": forecast["psnr"],
        REPEAT: PSNR().measure(Forecast(repeat(case), truth))["psnr"],
    }
    if len(members) == 1:
        curves = {"forecast": curves["a sample"], REPEAT: curves[REPEAT]}
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    panel = figure.subplots()
    for name, values in curves.items():
        panel.plot(range(1, len(values) + 1), values, marker=".", label=name)
    panel.set(xlabel="frames ahead", ylabel="PSNR, dB")
    panel.grid(alpha=0.3)
    panel.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_atomically(path, buffer.getvalue())
    means = ", ".join(f"{name} {float(values.mean()):.1f} dB" for name, values in curves.items())
    print(f"{path}: PSNR over {len(truth)} frames: {means}.")


def write_frames(path: Path, past: torch.Tensor, members: torch.Tensor, truth: torch.Tensor) -> None:
    """Write an npz of uint8 frames: observed (P, H, W, 3), prediction (S, T, H, W, 3) and truth (K, H, W, 3)."""
    buffer = io.BytesIO()
    arrays = {"observed": past, "prediction": members, "truth": truth}
    np.savez_compressed(buffer, **{name: to_images(frames).numpy() for name, frames in arrays.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
    print(f"{path}: observed, predicted and true frames.")


if __name__ == "__main__":
    run(main)
