"""Alarms about the balance between the discriminator and the autoencoder."""

from collections.abc import Callable

import torch

WON_ACCURACY = 0.95  # of the discriminator, on real and on reconstructed patches
IDLE_GAP = 0.05  # between its mean logits on real and on reconstructed patches


class DiscriminatorWatch:
    """Averages the discriminator's figures since the last call of `alarms`."""

    names = ("accuracy_real", "accuracy_fake", "logits_real", "logits_fake")

    def __init__(self):
        self.sums: torch.Tensor | float = 0.0
        self.count = 0

    def observe(self, figures: dict[str, torch.Tensor]) -> None:
        self.sums = self.sums + torch.stack([figures[name].detach() for name in self.names])
        self.count += 1

    def alarms(self, over_processes: Callable[[torch.Tensor], torch.Tensor] = lambda means: means) -> list[str]:
        """Sentences about a discriminator that is too strong or does nothing; `over_processes` averages over them."""
        if self.count == 0:
            return []
        real, fake, logits_real, logits_fake = over_processes(self.sums / self.count).tolist()
        self.sums, self.count = 0.0, 0
        if min(real, fake) > WON_ACCURACY:
            return [
                f"The discriminator is too strong: it recognizes {real:.0%} of the real and {fake:.0%} of the "
                f"reconstructed patches. Try a lower --lr-disc, --lecam-weight 0.1, a later --disc-start."
            ]
        if logits_real - logits_fake < IDLE_GAP:
            return [
                f"The discriminator does not learn: its logits are {logits_real:.2f} on real and {logits_fake:.2f} on "
                f"reconstructed patches. Try a higher --lr-disc, more --disc-warmup-steps."
            ]
        return []
