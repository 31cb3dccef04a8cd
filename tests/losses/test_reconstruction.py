"""The masked reconstruction loss against its formula."""

import pytest
import torch

from smoke_vq.losses import loss_weights, masked_mse


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    sample, target = (torch.rand(4, 3, 8, 8, generator=generator) * 2 - 1 for _ in range(2))
    return sample, target, torch.rand(4, 1, 8, 8, generator=generator).square()


@pytest.mark.parametrize("background_weight", [0.0, 0.2, 1.0, 3.0])
def test_equals_the_formula_in_float64(batch, background_weight):
    sample, target, mask = (tensor.double() for tensor in batch)
    weights = mask + background_weight * (1 - mask)
    expected = (weights * ((sample - target) ** 2).mean(dim=1, keepdim=True)).sum() / weights.sum()
    torch.testing.assert_close(masked_mse(*batch, background_weight).double(), expected, rtol=1e-6, atol=0)


def test_smoke_counts_five_to_one_by_default():
    target = torch.zeros(1, 3, 1, 2)
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    on_smoke, on_background = torch.zeros(2, 1, 3, 1, 2).unbind()
    on_smoke[..., 0], on_background[..., 1] = 1.0, 1.0
    assert masked_mse(on_smoke, target, mask) == pytest.approx(1 / 1.2)
    assert masked_mse(on_background, target, mask) == pytest.approx(0.2 / 1.2)


def test_without_background_weight_only_smoke_counts(batch):
    sample, target, mask = batch
    mask = (mask > 0.5).float()
    elsewhere = sample + 5 * (1 - mask)
    assert masked_mse(elsewhere, target, mask, 0) == masked_mse(sample, target, mask, 0)


def test_full_mask_and_equal_weights_give_the_plain_mean(batch):
    sample, target, mask = batch
    plain = torch.nn.functional.mse_loss(sample, target)
    torch.testing.assert_close(masked_mse(sample, target, torch.ones_like(mask)), plain)
    torch.testing.assert_close(masked_mse(sample, target, mask, background_weight=1.0), plain)


def test_all_zero_weights_give_the_plain_mean(batch):
    sample, target, mask = batch
    empty = torch.zeros_like(mask)
    assert torch.equal(loss_weights(empty, 0.0), torch.ones_like(mask))
    torch.testing.assert_close(masked_mse(sample, target, empty, 0.0), torch.nn.functional.mse_loss(sample, target))


def test_the_mean_is_over_the_batch_and_not_per_image(batch):
    """A frame with more smoke has a larger weight."""
    sample, target, mask = batch
    mask[0] = 0
    by_image = torch.stack([masked_mse(s[None], t[None], m[None], 0.1) for s, t, m in zip(*batch, strict=True)]).mean()
    assert abs(masked_mse(sample, target, mask, 0.1) - by_image) > 1e-3


@pytest.mark.parametrize("parts", [2, 4])
def test_a_split_step_equals_one_batch(batch, parts):
    sample, target, mask = batch
    sample.requires_grad_()
    whole = masked_mse(sample, target, mask)
    (expected,) = torch.autograd.grad(whole, sample)
    total = loss_weights(mask, 0.2).sum()
    micro_batches = zip(*(tensor.chunk(parts) for tensor in (sample, target, mask)), strict=True)
    split = sum(masked_mse(*part, total_weight=total) for part in micro_batches)
    torch.testing.assert_close(split, whole)
    torch.testing.assert_close(torch.autograd.grad(split, sample)[0], expected)


def test_is_computed_in_float32_for_half_precision(batch):
    sample, target, mask = batch
    loss = masked_mse(sample.bfloat16(), target, mask)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, masked_mse(sample.bfloat16().float(), target, mask), rtol=0, atol=0)
