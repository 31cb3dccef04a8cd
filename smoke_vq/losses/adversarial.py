"""The two sides of the game between autoencoder and discriminator, and what keeps it in balance.

Logits are a discriminator's, of any shape, above 0 for "real".
"""

import torch
from torch.nn.functional import relu

from .precision import at_least_float32


def hinge_discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """`(mean(max(0, 1 - real)) + mean(max(0, 1 + fake))) / 2` (Lim and Ye, 2017, arXiv:1705.02894).

    The half is taming-transformers': a discriminator that cannot tell has a loss of 1.
    """
    real_logits, fake_logits = at_least_float32(real_logits), at_least_float32(fake_logits)
    return 0.5 * (relu(1 - real_logits).mean() + relu(1 + fake_logits).mean())


def generator_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """`-mean(fake)`, the generator's side of the hinge."""
    return -at_least_float32(fake_logits).mean()


def adaptive_weight(
    reconstruction_gradient: torch.Tensor, adversarial_gradient: torch.Tensor, maximum: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight at which both losses pull alike at the decoder's last layer (Esser et al., 2021, arXiv:2012.09841, eq. 7).

    Args:
        reconstruction_gradient: of reconstruction and perceptual loss, not of the quantizer's, at that layer's weight.
        adversarial_gradient: of the generator's loss, unweighted, there.
        maximum: the largest weight.

    Returns:
        The weight in [0, maximum], and the weight before it was clamped; both scalars without gradient.
    """
    reconstruction, adversarial = (
        at_least_float32(gradient.detach()).norm() for gradient in (reconstruction_gradient, adversarial_gradient)
    )
    # 1e-4 as in taming-transformers; the paper names 1e-6.
    raw = reconstruction / (adversarial + 1e-4)
    return raw.clamp(0, maximum), raw


class LeCAM:
    """Keeps the discriminator's logits near where they have been (Tseng et al., 2021, arXiv:2104.03310, eq. 4-5).

    It belongs in the checkpoint: `accelerator.register_for_checkpointing(lecam)`.

    Args:
        decay: of the two moving averages; the authors' 0.99.
    """

    def __init__(self, decay: float = 0.99):
        self.decay = decay
        self.ema_real: torch.Tensor | None = None
        self.ema_fake: torch.Tensor | None = None

    def loss(self, real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
        """`mean((real - ema_fake)^2) + mean((fake - ema_real)^2)`; 0 before the first update.

        This is the paper's formula. The authors' code lets a logit pass free of charge that is on the wrong side of the
        average it is compared with.
        """
        real_logits, fake_logits = at_least_float32(real_logits), at_least_float32(fake_logits)
        if self.ema_real is None:
            return real_logits.new_zeros(())
        return (real_logits - self.ema_fake).square().mean() + (fake_logits - self.ema_real).square().mean()

    def update(self, real_mean: torch.Tensor, fake_mean: torch.Tensor) -> None:
        """Take in the mean logits of a whole optimizer step, of all micro-batches and processes."""
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
