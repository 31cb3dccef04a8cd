"""Two losses of soft codes, in nats: confident for each latent, and different between latents.

With q(k | z) the probability of code k of K for the latent z, they are the entropy of the samples, `E_z H[q(. | z)]`,
and the imbalance, `log K - H[E_z q(. | z)]`, which is 0 if all codes are in equal use (Jansen et al., 2020,
arXiv:1911.05894, section 3.2; eq. 5 of arXiv:2310.05737). The mean is over the latents that are given: those of one
micro-batch of one process.
"""

import math

import torch
import torch.nn.functional as F


def categorical_losses(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Entropy of the samples and imbalance, for logits (N, K) of the codes."""
    log_probabilities = F.log_softmax(logits, dim=1)
    probabilities = log_probabilities.exp()
    return -(probabilities * log_probabilities).sum(dim=1).mean(), _imbalance(probabilities.mean(dim=0))


def bit_losses(log_odds: torch.Tensor, group_bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for codes of d independent bits, without the 2^d codes.

    The entropy of a sample is the sum of the entropies of its bits. The imbalance is computed for groups of at most
    `group_bits` bits, of sizes as equal as possible, and summed: exact for one group, and at most the exact value for
    several (Zhao et al., 2024, arXiv:2406.07548).

    Args:
        log_odds: (N, d), log of p / (1 - p) with p the probability of a bit to be 1.
    """
    size = log_odds.abs()
    sample_entropy = (F.softplus(-size) + size * torch.sigmoid(-size)).sum(dim=1).mean()
    imbalance = log_odds.new_zeros(())
    for group in log_odds.tensor_split(math.ceil(log_odds.shape[1] / group_bits), dim=1):
        probabilities = torch.ones_like(group[:, :1])
        for bit in group.split(1, dim=1):
            probabilities = torch.cat([probabilities * torch.sigmoid(-bit), probabilities * torch.sigmoid(bit)], dim=1)
        imbalance = imbalance + _imbalance(probabilities.mean(dim=0))
    return sample_entropy, imbalance


def _imbalance(probabilities: torch.Tensor) -> torch.Tensor:
    """`log K - H(p)` as the mean of `r log r - r + 1` with `r = K p`.

    The mean of `1 - r` is 0. With it each term and its gradient, `log r`, are small where p is nearly uniform, and
    nothing cancels. (The gradient of torch.special.entr is infinite at 0.)
    """
    ratios = probabilities * len(probabilities)
    return (ratios * ratios.clamp(min=torch.finfo(ratios.dtype).tiny).log() - ratios + 1).mean()
