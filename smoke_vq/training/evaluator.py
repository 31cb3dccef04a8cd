"""How good an autoencoder is on a validation set; used at each validation, at the end, and by scripts/evaluate.py."""

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn

from ..data.frames import PackedFrames
from ..data.loader import FrameLoader
from ..data.processor import SmokeImageProcessor
from ..metrics import BASELINES, CodebookUsage, ImageQuality
from ..pictures import error_map, picture


@dataclass
class Evaluation:
    """metrics: figures of the model; baselines: the same metrics by baseline; picture: inputs, outputs and errors."""

    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    picture: Image.Image


class ReconstructionEvaluator:
    """Measures reconstructions over frames that are shared out over the processes; sums are added, nothing is padded.

    Args:
        frames: the whole validation set.
        max_frames: how many of them `validate` takes, evenly spaced; None for all.
        num_images: how many frames `reconstruct` shows.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        frames: PackedFrames,
        processor: SmokeImageProcessor,
        batch_size: int,
        num_images: int = 8,
        max_frames: int | None = None,
    ):
        self.accelerator, self.processor = accelerator, processor
        place = dict(device=accelerator.device, rank=accelerator.process_index, world_size=accelerator.num_processes)
        self.all = FrameLoader(frames, processor, batch_size, **place)
        self.some = FrameLoader(frames.select(max_frames), processor, batch_size, **place)
        # Of each of num_images equal stretches the frame with the most smoke: most frames hold little to look at.
        stretches = torch.arange(len(frames)).tensor_split(min(num_images, len(frames)))
        amount = frames.brightness()
        rows = [int(stretch[amount[stretch].argmax()]) for stretch in stretches]
        self.images = self.all.process(frames.__getitems__(rows), epoch=0)["pixel_values"]

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of `model` on the validation frames that the training looks at."""
        return self._measure(model, self.some)

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Everything about `model` on all validation frames, and the baselines beside it."""
        metrics = self._measure(model, self.all)
        baselines = {}
        for name, baseline in BASELINES.items():
            quality = ImageQuality()
            for batch in self.all.epoch(0):
                quality.update(baseline(batch["pixel_values"]), batch["pixel_values"], batch["mask"])
            baselines[name] = self._finish(quality)
        target, sample = self.targets(), self.reconstruct(model)
        rows = picture([target, sample, error_map(sample, target)], ["input", "output", "error x4"], scale=3)
        return Evaluation(metrics, baselines, rows)

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
        for batch in loader.epoch(0):
            with self.accelerator.autocast():
                output = model(batch["pixel_values"])
            quality.update(output.sample, batch["pixel_values"], batch["mask"])
            usage.update(output.indices)
        return self._finish(quality) | self._finish(usage)

    def _finish(self, accumulator) -> dict[str, float]:
        accumulator.reduce(lambda tensor: self.accelerator.reduce(tensor, "sum"))
        return accumulator.compute()
