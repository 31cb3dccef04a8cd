"""Adversarial losses of the generator and the discriminator, the adaptive weight, and LeCAM regularisation.

Logits are outputs of a discriminator, of any shape, positive for "real".
"""

import torch
from torch.nn.functional import relu

from .precision import at_least_float32


def hinge_discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """`(mean(max(0, 1 - real)) + mean(max(0, 1 + fake))) / 2` (Lim and Ye, 2017, arXiv:1705.02894).

    The factor 1/2 is that of taming-transformers. A discriminator that outputs 0 everywhere has a loss of 1.
    """
    real_logits, fake_logits = at_least_float32(real_logits), at_least_float32(fake_logits)
    return 0.5 * (relu(1 - real_logits).mean() + relu(1 + fake_logits).mean())


def generator_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """`-mean(fake)`, the generator loss that belongs to the hinge loss."""
    return -at_least_float32(fake_logits).mean()


def adaptive_weight(
    reconstruction_gradient: torch.Tensor, adversarial_gradient: torch.Tensor, maximum: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight that gives both gradients the same norm at the last layer (Esser et al., 2021, arXiv:2012.09841, eq. 7).

    Args:
        reconstruction_gradient: gradient of the reconstruction and perceptual losses (not of the quantizer's losses)
            with respect to the weight of the decoder's last layer.
        adversarial_gradient: gradient of the unweighted generator loss with respect to the same weight.
        maximum: upper limit of the weight.

    Returns:
        The weight, in [0, maximum], and the weight before clamping; scalars without gradient.
    """
    reconstruction, adversarial = (
        at_least_float32(gradient.detach()).norm() for gradient in (reconstruction_gradient, adversarial_gradient)
    )
    # 1e-4 as in taming-transformers; the paper uses 1e-6.
    raw = reconstruction / (adversarial + 1e-4)
    return raw.clamp(0, maximum), raw


class LeCAM:
    """Regularises a discriminator by moving averages of its logits (Tseng et al., 2021, arXiv:2104.03310, eq. 4-5).

    The averages are part of a checkpoint: `accelerator.register_for_checkpointing(lecam)`.

    Args:
        decay: decay of the two moving averages; the authors use 0.99.
    """

    def __init__(self, decay: float = 0.99):
        self.decay = decay
        self.ema_real: torch.Tensor | None = None
        self.ema_fake: torch.Tensor | None = None

    def loss(self, real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
        """`mean((real - ema_fake)^2) + mean((fake - ema_real)^2)`; 0 before the first update.

        This is the formula of the paper. The authors' code differs: it does not penalise a logit on the wrong side of
        the average that it is compared with.
        """
        real_logits, fake_logits = at_least_float32(real_logits), at_least_float32(fake_logits)
        if self.ema_real is None:
            return real_logits.new_zeros(())
        return (real_logits - self.ema_fake).square().mean() + (fake_logits - self.ema_real).square().mean()

    def update(self, real_mean: torch.Tensor, fake_mean: torch.Tensor) -> None:
        """Update the averages with the mean logits of an optimizer step, over all micro-batches and processes."""
        real_mean, fake_mean = (at_least_float32(mean.detach()) for mean in (real_mean, fake_mean))
        if self.ema_real is None:
            self.ema_real, self.ema_fake = real_mean.clone(), fake_mean.clone()
            return
        self.ema_real = self.decay * self.ema_real.to(real_mean) + (1 - self.decay) * real_mean
        self.ema_fake = self.decay * self.ema_fake.to(fake_mean) + (1 - self.decay) * fake_mean

    def state_dict(self) -> dict[str, torch.Tensor | None]:
        return {"ema_real": self.ema_real, "ema_fake": self.ema_fake}

    def load_state_dict(self, state: dict[str, torch.Tensor | None]) -> None:
        self.ema_real, self.ema_fake = state["ema_real"], state["ema_fake"]
