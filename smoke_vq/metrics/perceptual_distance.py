"""Mean perceptual distances, such as LPIPS, between reconstructions and their targets."""

from collections.abc import Callable

import torch

from .figure import Figure
from .metric import Batch, Metric


class PerceptualDistance(Metric):
    """The mean over frames of each given distance.

    Args:
        functions: by the name of their figure, (sample, target) in [-1, 1] -> (B,).
    """

    figures = (
        Figure("perceptual", "perceptual loss", "lower", ".4f", meaning="the perceptual loss of the training"),
        Figure("lpips_alex", "LPIPS (alex)", "lower", ".4f", meaning="LPIPS 0.1 on AlexNet (Zhang et al., 2018)"),
        Figure("lpips_vgg", "LPIPS (vgg)", "lower", ".4f", meaning="LPIPS 0.1 on VGG16 (Zhang et al., 2018)"),
    )

    def __init__(self, functions: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]):
        super().__init__()
        self.functions = functions

    def update(self, batch: Batch) -> None:
        for name, function in self.functions.items():
            distance = function(batch.sample, batch.target)
            self.keep(name, distance)
            self.add(name, distance.sum())
        self.add("num_frames", torch.tensor(len(batch.sample), device=batch.sample.device))

    def compute(self) -> dict[str, float]:
        if self.frames:  # gathered: a mean that does not depend on batches and processes
            return {name: float(values.double().mean()) for name, values in self.frames.items()}
        return {name: float(self.sums[name] / self.sums["num_frames"]) for name in self.functions}
