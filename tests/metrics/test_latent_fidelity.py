"""Error of latents against NumPy, and the share of unchanged codes."""

import pytest
import torch

from smoke_vq.metrics import Batch, LatentFidelity


@pytest.mark.parametrize("depth", [(), (3,)], ids=["one code a position", "three codes a position"])
def test_figures_are_those_of_numpy(depth):
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(6, 3, 4, 4, generator=generator) * 5 + 2
    latents = target + 0.1 * torch.randn(6, 3, 4, 4, generator=generator)
    indices = torch.randint(0, 2, (6, 4, 4, *depth), generator=generator)
    metric, image = LatentFidelity(), torch.zeros(2, 3, 8, 8)
    for part in range(0, 6, 2):
        rows = slice(part, part + 2)
        known = dict(latents=latents[rows], target_latents=target[rows])
        metric.update(Batch(image, image, indices=indices[rows], target_indices=torch.zeros(2, 4, 4, *depth), **known))
    a, b = latents.double().numpy(), target.double().numpy()
    expected = ((a - b) ** 2).mean() / b.var(axis=(0, 2, 3)).mean()
    assert metric.compute() == pytest.approx(
        {"latent_error": expected, "codes_unchanged": float((indices == 0).float().mean())}
    )


def test_a_model_that_changes_no_latents_has_no_figures():
    metric, image = LatentFidelity(), torch.zeros(2, 3, 8, 8)
    metric.update(Batch(image, image))
    assert metric.compute() == {}
