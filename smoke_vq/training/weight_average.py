"""The moving average of a network's weights."""

import math
from collections.abc import Iterable
from itertools import compress

import torch
from diffusers.training_utils import EMAModel
from torch import nn


class WeightAverage(EMAModel):
    """diffusers' moving average with warm-up, updated every few steps: a <- d a + (1 - d) w.

    The decay of step t is `min(decay, 1 - t^(-3/4))`, which reaches 0.999 after 10,000 steps and 0.99 after 500, as
    suits short trainings. The d of an update is the product of the decays of the steps since the one before, so that
    the horizon of the average does not depend on `every`. A parameter without gradient is copied.

    Its state is that of `EMAModel`.

    Args:
        parameters: those that are averaged.
        every: steps between updates. Each of the first `every` steps has one.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float, every: int = 1):
        super().__init__(parameters, decay, use_ema_warmup=True, power=3 / 4, foreach=True)
        self.every = every

    @torch.no_grad()
    def step(self, parameters: Iterable[nn.Parameter]) -> None:
        """After an optimizer step.

        Args:
            parameters: the averaged ones, in the same order.
        """
        self.optimization_step += 1
        passed = 1 if self.optimization_step <= self.every else self.every
        if self.optimization_step % passed != 0:
            return
        parameters = list(parameters)
        steps = range(self.optimization_step - passed + 1, self.optimization_step + 1)
        decay = math.prod(self.get_decay(step) for step in steps)
        learned = [parameter.requires_grad for parameter in parameters]
        averages, weights = list(compress(self.shadow_params, learned)), list(compress(parameters, learned))
        if averages:
            torch._foreach_lerp_(averages, weights, 1 - decay)
        for average, parameter in zip(self.shadow_params, parameters, strict=True):
            if not parameter.requires_grad:
                average.copy_(parameter)
