"""Speed of the models that have a card in model_cards/, on one thread."""

import json
import time
from pathlib import Path

import torch

from smoke_vq import NANO_FORECASTER, SmokeForecastPipeline, SmokeVQGAN, SmokeVQVAE
from smoke_vq.assets import MODEL_CARDS
from smoke_vq.layout import CONFIG

from .timing import interleaved, report

_BATCH = 32  # frames of a call
_CLASSES = {"SmokeVQVAE": SmokeVQVAE, "SmokeVQGAN": SmokeVQGAN}


def autoencoders() -> dict[str, SmokeVQVAE | SmokeVQGAN]:
    """An untrained model of the sizes of each card, by the name of its folder: weights do not change the speed."""
    configs = {path.parent.name: json.loads(path.read_text()) for path in sorted(MODEL_CARDS.glob(f"smoke_*/{CONFIG}"))}
    return {
        name: _CLASSES[config["_class_name"]].from_config(config).eval()
        for name, config in configs.items()
        if config["_class_name"] in _CLASSES
    }


def models(device: str, rounds: int) -> None:
    """Frames to codes and back, and 16 forecast frames, in CPU time, which other processes change little."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    functions = {}
    for name, model in autoencoders().items():
        size = model.config.sample_size
        frames = torch.rand(_BATCH, model.config.in_channels, size, size) * 2 - 1
        functions[name] = torch.no_grad()(
            lambda model=model, frames=frames: model.decode_indices(model.encode(frames).indices)
        )
    seconds = interleaved(functions, "cpu", rounds, time.process_time)
    first = next(iter(seconds))
    report("Models of the cards, frames to codes and back, CPU time", seconds, first, "frames/s", _BATCH)
    pipeline = SmokeForecastPipeline.from_pretrained(NANO_FORECASTER)
    pipeline.set_progress_bar_config(disable=True)
    past = torch.rand(pipeline.transformer.config.num_previous, 3, 64, 64) * 2 - 1
    forecast = {"smoke_forecaster_nano": lambda: pipeline(past, num_frames=16, output_type="pt")}
    seconds = interleaved(forecast, "cpu", rounds, time.process_time)
    report("A forecast of 16 frames, CPU time", seconds, Path(NANO_FORECASTER).name, "frames/s", 16)
    torch.set_num_threads(threads)
