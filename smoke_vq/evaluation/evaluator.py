"""How good an autoencoder is on a validation set; used at each validation, at the end, and by scripts/evaluate.py."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn

from ..data.frames import PackedFrames
from ..data.loader import FrameLoader
from ..data.processor import SmokeImageProcessor
from ..metrics import CodebookUsage, ImageQuality, MeanDistances
from ..pictures import error_map, image_grid
from .baselines import BASELINES
from .comparison import Column, Comparison

IN_PICTURE = [name for name in BASELINES if name != "black"]


@dataclass
class Evaluation:
    """metrics: figures of the model; baselines: the same metrics by baseline; picture: inputs, outputs and errors."""

    metrics: dict[str, float | None]
    baselines: dict[str, dict[str, float | None]]
    picture: Image.Image


class ReconstructionEvaluator:
    """Measures reconstructions over frames that are shared out over the processes; sums are added, nothing is padded.

    Args:
        frames: the whole validation set.
        max_frames: how many of them `validate` takes, evenly spaced; None for all.
        num_images: how many frames `reconstruct` shows.
        distances: functions (sample, target) in [-1, 1] -> (B,), by name, whose means are figures too.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        frames: PackedFrames,
        processor: SmokeImageProcessor,
        batch_size: int,
        num_images: int = 8,
        max_frames: int | None = None,
        distances: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] | None = None,
    ):
        self.accelerator, self.processor, self.distances = accelerator, processor, distances or {}
        place = dict(device=accelerator.device, rank=accelerator.process_index, world_size=accelerator.num_processes)
        self.all = FrameLoader(frames, processor, batch_size, **place)
        self.some = FrameLoader(frames.select(max_frames), processor, batch_size, **place)
        # Of each of num_images equal stretches the frame with the most smoke: most frames hold little to look at.
        stretches = torch.arange(len(frames)).tensor_split(min(num_images, len(frames)))
        amount = frames.brightness()
        rows = [int(stretch[amount[stretch].argmax()]) for stretch in stretches]
        self.images = self.all.process(frames.__getitems__(rows), epoch=0)["pixel_values"]

    @cached_property
    def fingerprint(self) -> str:
        """Of all frames: their number and the CRC-32 of their pixels."""
        return self.all.fingerprint()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of `model` on the validation frames that the training looks at."""
        return self._measure(model, self.some)

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Image and plume metrics of `model` on all validation frames, and the baselines beside it."""
        columns = self.compare({"output": model}, Comparison(self.accelerator, self.all, distances=self.distances))
        figures = {name: column.figures for name, column in columns.items()}
        return Evaluation(figures.pop("output"), figures, self.picture({"output": model}))

    def compare(self, models: dict[str, nn.Module], comparison: Comparison) -> dict[str, Column]:
        """What `comparison` says of each of `models`, then of each baseline, by name."""
        columns = {name: comparison.measure_model(model) for name, model in models.items()}
        return columns | {name: comparison.measure(baseline) for name, baseline in BASELINES.items()}

    def picture(self, models: dict[str, nn.Module]) -> Image.Image:
        """The fixed frames, what each of `models` makes of them (if it is one, its errors), codecs and bicubic."""
        target = self.targets()
        rows = {"input": target} | {name: self.reconstruct(model) for name, model in models.items()}
        if len(models) == 1:
            rows["error x4"] = error_map(*reversed(rows.values()))
        for name in reversed(IN_PICTURE):
            rows[name] = self.processor.postprocess(BASELINES[name](self.images).sample, "np")
        return image_grid(list(rows.values()), list(rows), scale=4)

    @torch.no_grad()
    def reconstruct(self, model: nn.Module) -> np.ndarray:
        """The fixed frames through `model`: (N, H, W, 3) uint8."""
        with self.accelerator.autocast():
            sample = model(self.images).sample
        return self.processor.postprocess(sample, "np")

    def targets(self) -> np.ndarray:
        return self.processor.postprocess(self.images, "np")

    @torch.no_grad()
    def _measure(self, model: nn.Module, loader: FrameLoader) -> dict[str, float]:
        quality, usage = ImageQuality(), CodebookUsage(model.quantizer.num_codes)
        distances = MeanDistances(self.distances)
        for batch in loader.epoch(0):
            with self.accelerator.autocast():
                output = model(batch["pixel_values"])
                distances.update(output.sample, batch["pixel_values"])
            quality.update(output.sample, batch["pixel_values"], batch["mask"])
            usage.update(output.indices)
        return self._finish(quality) | self._finish(usage) | self._finish(distances)

    def _finish(self, accumulator) -> dict[str, float]:
        accumulator.reduce(lambda tensor: self.accelerator.reduce(tensor, "sum"))
        return accumulator.compute()
