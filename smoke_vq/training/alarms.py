"""What is worth interrupting a person for, judged on a whole validation and never on one batch."""

from collections.abc import Callable

import torch

from ..metrics import expected_usage

COLLAPSED_USAGE = 0.1  # of the usage that uniform use would show on as many tokens
COLLAPSED_DIVERSITY = 0.05  # of the variance over frames that the targets have
WON_ACCURACY = 0.95  # of the discriminator on real and on fake patches
ASLEEP_GAP = 0.05  # between its mean logits on real and on fake patches


class DiscriminatorWatch:
    """Means of what the discriminator did since it was last asked."""

    names = ("accuracy_real", "accuracy_fake", "logits_real", "logits_fake")

    def __init__(self):
        self.sums: torch.Tensor | float = 0.0
        self.count = 0

    def observe(self, figures: dict[str, torch.Tensor]) -> None:
        self.sums = self.sums + torch.stack([figures[name].detach() for name in self.names])
        self.count += 1

    def alarms(self, over_processes: Callable[[torch.Tensor], torch.Tensor] = lambda means: means) -> list[str]:
        """Sentences about a game that is none, each with what to try; `over_processes` averages over them."""
        if self.count == 0:
            return []
        real, fake, logits_real, logits_fake = over_processes(self.sums / self.count).tolist()
        self.sums, self.count = 0.0, 0
        if min(real, fake) > WON_ACCURACY:
            return [
                f"The discriminator has won: it tells {real:.0%} of the real and {fake:.0%} of the reconstructed "
                f"patches. Try a lower --lr-disc, --lecam-weight 0.1, a later --disc-start."
            ]
        if logits_real - logits_fake < ASLEEP_GAP:
            return [
                f"The discriminator sleeps: its logits are {logits_real:.2f} on real and {logits_fake:.2f} on "
                f"reconstructed patches. Try a higher --lr-disc, more --disc-warmup-steps."
            ]
        return []


def alarms(metrics: dict[str, float], num_codes: int) -> list[str]:
    """Sentences about what went wrong, each with what to try; an empty list when nothing did."""
    sentences = []
    expected = expected_usage(num_codes, metrics["num_tokens"]) * num_codes
    if metrics["num_codes_used"] < COLLAPSED_USAGE * expected:
        sentences.append(
            f"The codebook has collapsed: {metrics['num_codes_used']} of {num_codes} codes serve "
            f"{metrics['num_tokens']} tokens (uniform use would show {expected:.0f}). "
            f"Try --codebook-init-vectors 32768, --revive-every 50, a lower --lr."
        )
    if metrics["diversity"] < COLLAPSED_DIVERSITY:
        sentences.append(
            f"The outputs look alike: they vary {metrics['diversity']:.3f} times as much over frames as the inputs. "
            f"Try a lower --lr, a longer --warmup-steps, a lower --background-weight."
        )
    return sentences
