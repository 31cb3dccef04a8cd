"""How well latents survive a detour, for example through a projection to fewer channels."""

import torch

from ..float64 import to_float64
from .figure import Figure
from .metric import Batch, Metric


class LatentFidelity(Metric):
    """Error of the latents and share of codes that stay what they were. No figures for models that change no latents.

    `latent_error` is left out if the latents are the same everywhere.
    """

    figures = (
        Figure("latent_error", "latent error", "lower", ".2e", meaning="squared error of latents over their variance"),
        Figure("codes_unchanged", "codes unchanged", "higher", ".4f", meaning="share of codes that stay the same"),
    )

    def update(self, batch: Batch) -> None:
        if batch.target_latents is None or batch.latents is None:
            return
        latents, target = to_float64(batch.latents), to_float64(batch.target_latents)
        self.add("error", (latents - target).square().sum())
        self.add("sum", target.sum(dim=(0, 2, 3)))
        self.add("square", target.square().sum())
        self.add("positions", torch.tensor(target[:, 0].numel(), device=target.device))
        if batch.indices is not None and batch.target_indices is not None:
            self.add("unchanged", (batch.indices == batch.target_indices).sum())
            self.add("codes", torch.tensor(batch.indices.numel(), device=target.device))

    def compute(self) -> dict[str, float]:
        if not self.sums:
            return {}
        sums, figures = self.sums, {}
        variance = sums["square"] - sums["sum"].square().sum() / sums["positions"]
        if variance > 0:
            figures["latent_error"] = float(sums["error"] / variance)
        if "unchanged" in sums:
            figures["codes_unchanged"] = float(sums["unchanged"] / sums["codes"])
        return figures
