"""A network with its optimizer, learning-rate schedule and averaged weights."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from torch import nn

from ..quantizers import Quantizer
from .arguments import OptimizationArguments
from .muon import Muon
from .weight_average import WeightAverage


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Apply weight decay, and Muon's `orthogonal`, to weights of two or more dimensions, but not to norms, biases and
    quantizers."""
    quantizers = [module for module in network.modules() if isinstance(module, Quantizer)]
    own = {id(parameter) for quantizer in quantizers for parameter in quantizer.parameters()}
    parameters = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in parameters if p.ndim >= 2 and id(p) not in own]
    others = [p for p in parameters if p.ndim < 2 or id(p) in own]
    groups = [
        {"params": decayed, "weight_decay": weight_decay, "orthogonal": True},
        {"params": others, "weight_decay": 0.0, "orthogonal": False},
    ]
    return [group for group in groups if group["params"]]


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> torch.Tensor:
    """Scale the gradients so that their common norm is at most `limit`; returns their norm before, a scalar.

    Equals `torch.nn.utils.clip_grad_norm_` to the last bit, but on a CPU it passes over the gradients once instead of
    twice if there is nothing to scale. A GPU, which would have to be waited for, always scales.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    if scale.device.type != "cpu" or scale.float().numpy() != 1:
        torch._foreach_mul_(gradients, scale)
    return norm


class Player:
    """A network with everything that changes when it learns.

    Args:
        accelerator: prepares the network and the optimizer, and registers the rest for its checkpoints.
        network: on any device.
        arguments: optimizer, schedule and averaging.
        num_steps: optimizer steps of the complete training, for the schedule.
        lr, beta1: override the values of the arguments.
        average: whether to keep an average of the weights.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        network: nn.Module,
        arguments: OptimizationArguments,
        num_steps: int,
        lr: float | None = None,
        beta1: float | None = None,
        average: bool = True,
    ):
        self.accelerator = accelerator
        self.lr = arguments.lr if lr is None else lr
        self.max_grad_norm = arguments.max_grad_norm
        # With fp16, the scaler of the losses leaves out such steps itself.
        self.may_skip = arguments.max_skipped_steps > 0 and accelerator.scaler is None
        self.skipped = False
        if arguments.channels_last:
            network = network.to(memory_format=torch.channels_last)
        if arguments.gradient_checkpointing and network._supports_gradient_checkpointing:
            network.enable_gradient_checkpointing()
        groups = parameter_groups(network, arguments.weight_decay)
        betas = (arguments.adam_beta1 if beta1 is None else beta1, arguments.adam_beta2)
        if arguments.optimizer == "muon":
            optimizer = Muon(groups, lr=self.lr, betas=betas)
        else:
            fused = accelerator.device.type in ("cuda", "cpu")
            optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=betas, fused=fused)
        # The schedule is not prepared: a prepared one steps once per process and micro-batch.
        self.scheduler = get_scheduler(
            arguments.lr_scheduler,
            optimizer,
            num_warmup_steps=min(arguments.warmup_steps, num_steps // 2),
            num_training_steps=num_steps,
        )
        self.network, self.optimizer = accelerator.prepare(network, optimizer)
        accelerator.register_for_checkpointing(self.scheduler)
        self.parameters = list(self.unwrapped.parameters())  # finding them takes as long as scaling them
        self.ema = None
        if average and arguments.ema_decay > 0:
            self.ema = WeightAverage(self.parameters, arguments.ema_decay, arguments.ema_steps)
            accelerator.register_for_checkpointing(self.ema)

    @property
    def unwrapped(self) -> nn.Module:
        return self.accelerator.unwrap_model(self.network, keep_torch_compile=False)

    @property
    def learning_rate(self) -> float:
        return self.scheduler.get_last_lr()[0]

    def update(self, loss: torch.Tensor) -> torch.Tensor | None:
        """Add the gradient of `loss`; with the last micro-batch of a step, update the weights.

        With `max_skipped_steps`, a gradient that is not finite leaves the weights as they are and sets `skipped`. It is
        the same on all processes.

        Returns:
            The norm of the gradient before clipping, or None before the last micro-batch of a step.
        """
        norm = None
        self.accelerator.backward(loss)
        if self.accelerator.sync_gradients:
            limit = self.max_grad_norm if self.max_grad_norm > 0 else float("inf")
            self.accelerator.unscale_gradients()
            norm = clip_gradients(self.parameters, limit)
            self.skipped = self.may_skip and not bool(torch.isfinite(norm))
        if not (self.accelerator.sync_gradients and self.skipped):
            self.optimizer.step()
        self.optimizer.zero_grad()
        if self.accelerator.sync_gradients:
            self.scheduler.step()
            if self.ema is not None and not self.skipped:
                self.ema.step(self.parameters)
        return norm

    def restored(self) -> None:
        """After a checkpoint is loaded, move the average to the device and set the learning rate of this run.

        The schedule in the checkpoint has the learning rate of the run that wrote it.
        """
        if self.ema is not None:
            self.ema.to(self.accelerator.device)
        self.scheduler.base_lrs = [self.lr] * len(self.scheduler.base_lrs)
        self.scheduler._last_lr = [self.lr * factor(self.scheduler.last_epoch) for factor in self.scheduler.lr_lambdas]
        for group, lr in zip(self.scheduler.optimizer.param_groups, self.scheduler._last_lr, strict=True):
            group["initial_lr"], group["lr"] = self.lr, lr

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network in eval mode with the averaged weights, for validation and export.

        Parameters without gradient have their current values: a codebook of running means is an average already.
        """
        network = self.unwrapped
        if self.ema is not None:
            for average, parameter in zip(self.ema.shadow_params, self.parameters, strict=True):
                if not parameter.requires_grad:  # it may have changed since the last optimizer step
                    average.copy_(parameter)
            self.ema.store(self.parameters)
            self.ema.copy_to(self.parameters)
        network.eval()
        try:
            yield network
        finally:
            network.train()
            if self.ema is not None:
                self.ema.restore(self.parameters)

    def overwrite_rows(self, parameter: nn.Parameter, rows: torch.Tensor, values: torch.Tensor) -> None:
        """Set rows of a parameter, in the average too, and reset the optimizer's moments of these rows."""
        with torch.no_grad():
            parameter[rows] = values.to(parameter.dtype)
            for moment in self.optimizer.optimizer.state.get(parameter, {}).values():
                if moment.shape == parameter.shape:
                    moment[rows] = 0
            if self.ema is not None:
                position = next(i for i, p in enumerate(self.parameters) if p is parameter)
                self.ema.shadow_params[position][rows] = values.to(parameter.dtype)
