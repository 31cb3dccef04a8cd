"""Evaluation of a projection of latents by what a frozen autoencoder decodes after it."""

from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import nn

from ..metrics import LatentFidelity, make_metrics
from ..pictures import error_map, fitting_scale, image_grid
from .comparison import Comparison
from .evaluator import EVALUATION_METRICS, VALIDATION_METRICS, Evaluation, ReconstructionEvaluator
from .reconstruction import Reconstruction


class ProjectionEvaluator(ReconstructionEvaluator):
    """Encodes frames, projects the latents and back, quantizes them again, and compares the decoded frames.

    Args:
        autoencoder: in eval mode, on the device.
        start: the projection before training, as a baseline.
        arguments: those of `ReconstructionEvaluator`.
    """

    def __init__(self, *arguments, autoencoder: nn.Module, start: nn.Module, **keywords):
        super().__init__(*arguments, **keywords)
        self.autoencoder, self.start = autoencoder, start
        self.validation = Comparison(
            self.accelerator,
            self.validation.loader,
            [*make_metrics(VALIDATION_METRICS), LatentFidelity()],
            per_frame=False,
        )

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self.validation.measure(partial(self.reconstruct, model)).figures

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Figures of `model` and, as baselines, of its start (PCA) and of the autoencoder without a projection."""
        comparison = Comparison(self.accelerator, self.all, [*make_metrics(EVALUATION_METRICS), LatentFidelity()])
        figures = {
            name: comparison.measure(partial(self.reconstruct, projection)).figures
            for name, projection in self._columns(model).items()
        }
        return Evaluation(figures.pop("output"), figures, self._picture(model))

    @torch.no_grad()
    def reconstruct(self, projection: nn.Module | None, pixel_values: torch.Tensor) -> Reconstruction:
        """What the autoencoder decodes after `projection`; None leaves the latents as they are."""
        with self.accelerator.autocast():
            encoded = self.autoencoder.encode(pixel_values)
            latents = encoded.latents if projection is None else projection(encoded.latents).latents
            output = self.autoencoder.quantizer(latents)
            sample = self.autoencoder.decode(output.quantized, force_not_quantize=True).sample
        return Reconstruction(
            sample,
            indices=output.indices,
            num_codes=self.autoencoder.quantizer.num_codes,
            latents=latents,
            target_latents=encoded.latents,
            target_indices=encoded.indices,
        )

    def samples(self, model: nn.Module | None) -> np.ndarray:
        """The fixed frames as the autoencoder decodes them after `model`, (N, H, W, 3) uint8."""
        return self.processor.postprocess(self.reconstruct(model, self.images).sample, "np")

    def _columns(self, model: nn.Module) -> dict[str, nn.Module | None]:
        return {"output": model, "PCA": self.start, "all channels": None}

    def _picture(self, model: nn.Module) -> Image.Image:
        rows = {"input": self.targets()} | {name: self.samples(one) for name, one in self._columns(model).items()}
        rows["error x4"] = error_map(rows["output"], rows["input"])
        return image_grid(list(rows.values()), list(rows), scale=fitting_scale(rows["input"][0], 256))
