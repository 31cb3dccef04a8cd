"""What a recipe provides to the trainer: an objective, and an evaluator of its model."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..data.loader import FrameLoader
from ..evaluation.evaluator import Evaluation
from .player import Player

Batch = dict[str, torch.Tensor]


class Objective(ABC):
    """The networks of a recipe and how they learn from a batch.

    An optimizer step is `begin_step` with all its micro-batches, `step` with each of them, then `end_step`. An object
    with state of its own registers itself with `accelerator.register_for_checkpointing`.

    Attributes:
        players: the networks that learn, by name. The first one is validated, averaged and exported.
        summary: names of the figures of a validation that the terminal shows.
        progress: names of the losses that the progress bar shows, besides `total`.
        watched: name of the loss whose sudden rise raises an alarm; it should be positive.
        starts_trained: whether the model is of use before the first step; it is then validated, and may stay the best.
    """

    players: dict[str, Player]
    summary: tuple[str, ...] = ()
    progress: tuple[str, ...] = ()
    watched: str = "total"

    @property
    def starts_trained(self) -> bool:
        return False

    @property
    def player(self) -> Player:
        return next(iter(self.players.values()))

    def begin_training(self, batches: Iterable[Batch], step: int = 0) -> None:
        """Called once before the first step of a training, or of its continuation after `step` steps.

        Args:
            batches: training batches, for example to initialize a codebook.
        """

    def begin_step(self, batches: list[Batch], step: int) -> None:
        """Called with all micro-batches of optimizer step `step` (from 1)."""

    @abstractmethod
    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Learn from a micro-batch; return its unweighted losses by name, and their weighted sum `total`, detached."""

    def end_step(self, step: int) -> None:
        """Called after optimizer step `step`, when the weights have changed."""

    def skip_step(self, step: int) -> None:
        """Called instead of `end_step` if a gradient was not finite and the step is left out: forget its batches."""

    @abstractmethod
    def score(self, figures: dict[str, float]) -> float:
        """The figure by which the best model is chosen, lower is better; infinity for a useless model."""

    def is_complete(self) -> bool:
        """Whether all parts of the model are in use; until then no model is kept as the best."""
        return True

    def alarms(self, figures: dict[str, float]) -> list[str]:
        """Problems that the figures of a validation show: one sentence each, with advice."""
        return []

    def companions(self) -> dict[str, nn.Module]:
        """Networks to save with the model, by the name of their folder."""
        return {}

    def finish(self, model: nn.Module, loader: FrameLoader) -> None:
        """Complete the best model after training, on every process; its configuration and weights are saved afterwards.

        Args:
            loader: that of the training.
        """

    def describe(self, step: int) -> dict[str, Any]:
        """Facts for the card of the model of `step`, such as `recipe`, its training losses."""
        return {}


class Evaluator(Protocol):
    """Evaluates the model of a recipe on validation data.

    Attributes:
        fingerprint: identifies the validation data.
    """

    @property
    def fingerprint(self) -> str: ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures at each validation, on every process."""
        ...

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Figures of the finished model, with baselines and a picture if the evaluator has them."""
        ...

    def samples(self, model: nn.Module) -> np.ndarray | None:
        """Outputs of the model for a few fixed inputs, (N, H, W, 3) uint8, or None for a model without images."""
        ...

    def targets(self) -> np.ndarray | None:
        """The targets of `samples`."""
        ...


def is_better(score: float, best: float | None) -> bool:
    return math.isfinite(score) and (best is None or score < best)
