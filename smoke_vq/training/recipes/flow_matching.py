"""The flow-matching recipe: a forecaster of latents (Davtyan et al., 2023, arXiv:2211.14575)."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from ..arguments import TrainingArguments
from ..objective import Batch, Objective
from ..player import Player
from .arguments import FlowMatchingArguments
from .autoencoder import norm_figure

_SMOKE = 0.1  # a latent that differs from that of black by more than this, in any channel, shows smoke
_FROZEN = 0.2  # motion of a forecast, as a share of the true one
_DIVERGED = 2.0  # standard deviation of a forecast's latents, relative to that of the true ones


class FlowMatchingObjective(Objective):
    """One player, the forecaster.

    A batch has `latents` (B, T, C, h, w) float32, normalized: an earlier frame if the model uses one, the previous
    frames and the next ones (`WindowedFrames`), and `offset` (B, T).

    Args:
        black: (C, h, w), the latents of a black frame.
    """

    summary = ("psnr_mean", "psnr", "iou", "crps", "spread_skill")
    progress = ("frame_error",)

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        arguments: TrainingArguments[FlowMatchingArguments],
        num_steps: int,
        black: torch.Tensor,
        projection: nn.Module | None = None,
    ):
        self.recipe, self.projection = arguments.recipe, projection
        self.black, self.accelerator, self.seed = black.to(accelerator.device), accelerator, arguments.run.seed
        self.generator = torch.Generator(accelerator.device)
        self.players = {"model": Player(accelerator, model, arguments.optimization, num_steps)}
        self.config, self.coupling = self.player.unwrapped.config, self.player.unwrapped.coupling

    def begin_step(self, batches: list[Batch], step: int) -> None:
        """Noise and times are a function of (seed, step, process), so that a resumed run sees the same."""
        place = step * self.accelerator.num_processes + self.accelerator.process_index
        self.is_regression = step <= self.recipe.regression_steps
        self.generator.manual_seed((self.seed * 1_000_003 + place) % 2**63)

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        latents, earlier, distance = batch["latents"], None, None
        if self.config.use_earlier_frame:
            earlier, latents, distance = latents[:, 0], latents[:, 1:], -batch["offset"][:, 0]
            earlier = self._with_noise(earlier)
        previous, frames = latents.split([self.config.num_previous, self.config.num_frames], dim=1)
        previous = self._with_noise(previous)
        last = previous[:, -1:].expand_as(frames)
        t = self.coupling.draw_times(len(frames), self.generator, frames.device)
        x = self.coupling.path(frames, last, self._noise(frames), t)
        if self.is_regression:
            t, x = torch.zeros_like(t), torch.zeros_like(x)
        prediction = self.player.network(x, t, previous, earlier, distance).sample
        errors = (prediction - frames).square()
        weights = torch.where(self._shows_smoke(frames), self.recipe.smoke_weight, 1.0)
        factor = self.coupling.loss_weight(t) ** self.recipe.velocity_exponent
        weights = weights * factor.view(-1, 1, 1, 1, 1)
        total = (weights * errors).mean()
        norm = norm_figure("model", self.player.update(total))
        return {"frame_error": errors.mean().detach(), "total": total.detach()} | norm

    def score(self, figures: dict[str, float]) -> float:
        """The fair CRPS, which is the absolute error for a regression."""
        return figures["crps"]

    def alarms(self, figures: dict[str, float]) -> list[str]:
        sentences = []
        if figures["latents_ratio"] > _DIVERGED:
            sentences.append(
                f"The forecasts diverge: their latents vary {figures['latents_ratio']:.1f} times as much as the true "
                f"ones. Try a higher --condition-noise, a lower --lr, or a longer training."
            )
        if figures["motion"] < _FROZEN:
            sentences.append(
                f"The forecasts hardly move: {figures['motion']:.2f} of the true change from frame to frame. Train "
                f"longer or with a higher --lr."
            )
        return sentences

    def companions(self) -> dict[str, nn.Module]:
        return {} if self.projection is None else {"projection": self.projection}

    def describe(self, step: int) -> dict[str, Any]:
        if not self.coupling.is_random:
            return {"recipe": "the squared error of the next frames"}
        return {"recipe": f"flow matching with the coupling {self.config.coupling!r}"}

    def _with_noise(self, latents: torch.Tensor) -> torch.Tensor:
        """Rollouts drift if the network has only seen exact frames."""
        return latents + self.recipe.condition_noise * self._noise(latents)

    def _noise(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=self.generator, device=like.device)

    def _shows_smoke(self, frames: torch.Tensor) -> torch.Tensor:
        """(B, F, C, h, w) to (B, F, 1, h, w) bool."""
        return ((frames - self.black).abs() > _SMOKE).any(dim=2, keepdim=True)
