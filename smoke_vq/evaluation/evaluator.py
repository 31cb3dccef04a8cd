"""Evaluation of an autoencoder on a validation set, during and after training and in smoke-vq evaluate."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn

from ..data.frames import PackedFrames
from ..data.loader import FrameLoader
from ..metrics import PerceptualDistance, make_metrics
from ..pictures import error_map, fitting_scale, image_grid
from .baselines import BASELINES
from .comparison import Column, Comparison

if TYPE_CHECKING:
    from ..data.processor import SmokeImageProcessor

VALIDATION_METRICS = ("image", "codebook", "codes")
EVALUATION_METRICS = ("image", "plume", "colour", "grid", "codebook", "codes", "size")
_IN_PICTURE = [name for name in BASELINES if name != "black"]


@dataclass
class Evaluation:
    """Result of the final evaluation of a model.

    metrics: figures of the model, by name.
    baselines: the same figures of each baseline, by its name; may be empty.
    picture: a picture of inputs and outputs, or None.
    """

    metrics: dict[str, float | None]
    baselines: dict[str, dict[str, float | None]]
    picture: Image.Image | None = None


class ReconstructionEvaluator:
    """Measures reconstructions of frames that are split over the processes, without padding.

    Args:
        frames: all validation frames.
        max_frames: number of frames for `validate`, evenly spaced; None for all.
        num_images: number of frames for `samples`.
        distances: further distances to measure, (sample, target) in [-1, 1] -> (B,) by the name of their figure.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        frames: PackedFrames,
        processor: "SmokeImageProcessor",
        batch_size: int,
        num_images: int = 8,
        max_frames: int | None = None,
        distances: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] | None = None,
    ):
        self.accelerator, self.processor, self.distances = accelerator, processor, distances or {}
        place = dict(device=accelerator.device, rank=accelerator.process_index, world_size=accelerator.num_processes)
        self.all = FrameLoader(frames, processor, batch_size, **place)
        # In training's precision, which is that of the loss.
        distances = {name: self._in_autocast(distance) for name, distance in self.distances.items()}
        metrics = [*make_metrics(VALIDATION_METRICS), PerceptualDistance(distances)]
        some = FrameLoader(frames.select(max_frames), processor, batch_size, **place)
        self.validation = Comparison(accelerator, some, metrics, per_frame=False)
        # The frame with the most smoke in each of num_images equal parts, because most frames show little.
        parts = torch.arange(len(frames)).tensor_split(min(num_images, len(frames)))
        amount = frames.images.flatten(1).sum(dim=1)  # (N,), of the uint8 values
        rows = [int(part[amount[part].argmax()]) for part in parts]
        self.images = processor.to_pixel_values(frames.__getitems__(rows)["image"].to(accelerator.device))

    @cached_property
    def fingerprint(self) -> str:
        """Number of validation frames and CRC-32 of their pixels."""
        return self.all.frames.fingerprint()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures of `model` on at most `max_frames` frames."""
        return self.validation.measure_model(model).figures

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Figures of `model` and of the baselines on all validation frames."""
        metrics = [*make_metrics(EVALUATION_METRICS), PerceptualDistance(self.distances)]
        columns = self.compare({"output": model}, Comparison(self.accelerator, self.all, metrics))
        figures = {name: column.figures for name, column in columns.items()}
        return Evaluation(figures.pop("output"), figures, self.picture({"output": model}))

    def compare(self, models: dict[str, nn.Module], comparison: Comparison) -> dict[str, Column]:
        """A column for each of `models`, then one for each baseline, by name."""
        columns = {name: comparison.measure_model(model) for name, model in models.items()}
        return columns | {name: comparison.measure(baseline) for name, baseline in BASELINES.items()}

    def picture(self, models: dict[str, nn.Module]) -> Image.Image:
        """The fixed frames, their reconstructions, the errors if there is one model, image codecs and bicubic."""
        rows = {"input": self.targets()} | {name: self.samples(model) for name, model in models.items()}
        if len(models) == 1:
            rows["error x4"] = error_map(*reversed(rows.values()))
        for name in reversed(_IN_PICTURE):
            rows[name] = self.processor.postprocess(BASELINES[name](self.images).sample, "np")
        return image_grid(list(rows.values()), list(rows), scale=fitting_scale(rows["input"][0], 256))

    @torch.no_grad()
    def samples(self, model: nn.Module) -> np.ndarray:
        """Reconstructions of the fixed frames by `model`, (N, H, W, 3) uint8."""
        with self.accelerator.autocast():
            sample = model(self.images).sample
        return self.processor.postprocess(sample, "np")

    def targets(self) -> np.ndarray:
        """The fixed frames, (N, H, W, 3) uint8."""
        return self.processor.postprocess(self.images, "np")

    def _in_autocast(self, function: Callable) -> Callable:
        def call(*arguments):
            with self.accelerator.autocast():
                return function(*arguments)

        return call
