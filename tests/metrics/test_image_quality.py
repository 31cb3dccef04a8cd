"""Image metrics against NumPy and scikit-image."""

import numpy as np
import pytest
import torch

from smoke_vq.metrics import Batch, ImageQuality


@pytest.fixture(scope="module")
def frames():
    """Noisy reconstructions of 9 smooth frames, 24x24, with soft masks."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(9, 3, 6, 6, generator=generator)
    target = torch.nn.functional.interpolate(target, (24, 24), mode="bilinear") * 2 - 1
    noise = torch.randn(9, 3, 24, 24, generator=generator) * torch.linspace(0.01, 0.3, 9).view(9, 1, 1, 1)
    return (target + noise).clamp(-1, 1), target, torch.rand(9, 1, 24, 24, generator=generator)


def measure(frames, batch_size: int) -> dict[str, float]:
    metric = ImageQuality()
    for batch in zip(*(tensor.split(batch_size) for tensor in frames), strict=True):
        metric.update(Batch(*batch))
    return metric.compute()


def test_errors_equal_numpy(frames):
    sample, target, mask = (tensor.double().numpy() for tensor in frames)
    error = ((sample - target) ** 2).mean(axis=1, keepdims=True)
    result = measure(frames, batch_size=4)
    assert result["masked_mse"] == pytest.approx((mask * error).sum() / mask.sum(), rel=1e-5)
    assert result["background_mse"] == pytest.approx(((1 - mask) * error).sum() / (1 - mask).sum(), rel=1e-5)
    assert result["mse"] == pytest.approx(error.mean(), rel=1e-5)
    assert result["coverage"] == pytest.approx(mask.mean(), rel=1e-5)
    assert result["num_frames"] == 9


@pytest.mark.parametrize(("level", "missing"), [(0.0, "masked_mse"), (1.0, "background_mse")])
def test_the_error_of_no_pixels_is_left_out_and_no_figure_is_nan(frames, level, missing):
    sample, target, mask = frames
    result = measure((sample, target, torch.full_like(mask, level)), 4)
    names = {figure.name for figure in ImageQuality.figures}
    assert names - set(result) == {missing} and result["coverage"] == level
    assert all(np.isfinite(value) for value in result.values())


def test_diversity_of_equal_targets_is_left_out(frames):
    assert "diversity" not in measure(tuple(tensor[:1] for tensor in frames), 1)


def test_the_training_loss_follows_from_the_figures(frames):
    """sum(w e^2) / sum(w) with w = m + b (1 - m), from the two errors and the coverage."""
    from smoke_vq.losses import masked_mse

    result, b = measure(frames, 4), 0.2
    smoke, background = result["coverage"], b * (1 - result["coverage"])
    loss = (smoke * result["masked_mse"] + background * result["background_mse"]) / (smoke + background)
    assert loss == pytest.approx(float(masked_mse(*frames, b)), rel=1e-6)


def test_diversity_is_the_variance_over_frames(frames):
    sample, target, _ = (tensor.double().numpy() for tensor in frames)
    assert measure(frames, 4)["diversity"] == pytest.approx(sample.var(axis=0).mean() / target.var(axis=0).mean())


def test_diversity_is_0_if_all_samples_are_equal(frames):
    _, target, mask = frames
    assert measure((target[:1].expand_as(target), target, mask), 4)["diversity"] == pytest.approx(0, abs=1e-9)
    assert measure((target, target, mask), 4)["diversity"] == pytest.approx(1)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_batches_add_up(frames, batch_size):
    assert measure(frames, batch_size) == pytest.approx(measure(frames, 9), rel=1e-6)


def test_processes_add_up(frames):
    halves = [tuple(tensor[rank::2] for tensor in frames) for rank in range(2)]
    metrics = [ImageQuality(), ImageQuality()]
    for metric, half in zip(metrics, halves, strict=True):
        metric.update(Batch(*half))
    others = iter(list(metrics[1].sums.values()))
    metrics[0].reduce(lambda value: value + next(others))
    assert metrics[0].compute() == pytest.approx(measure(frames, 9), rel=1e-6)


def test_psnr_and_ssim_equal_scikit_image(frames):
    skimage = pytest.importorskip("skimage.metrics")
    sample, target, _ = (tensor.double().permute(0, 2, 3, 1).numpy() for tensor in frames)
    pairs = list(zip((target + 1) / 2, (sample + 1) / 2, strict=True))
    psnr = np.mean([skimage.peak_signal_noise_ratio(*pair, data_range=1) for pair in pairs])
    ssim = np.mean(
        [
            skimage.structural_similarity(
                *pair, data_range=1, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
            for pair in pairs
        ]
    )
    result = measure(frames, 4)
    assert result["psnr"] == pytest.approx(psnr, rel=1e-5)
    assert result["ssim"] == pytest.approx(ssim, abs=1e-5)
    assert result["ssim"] < 0.99


@pytest.mark.parametrize("error", [0.02, 0.5])
def test_psnr_of_a_constant_error(frames, error):
    target = torch.zeros(3, 3, 16, 16)
    result = measure((target + error, target, torch.ones(3, 1, 16, 16)), 2)
    assert result["psnr"] == pytest.approx(10 * np.log10(4 / error**2), rel=1e-5)


def test_a_perfect_frame_has_a_finite_psnr(frames):
    _, target, mask = frames
    result = measure((target, target, mask), 4)
    assert result["psnr"] == pytest.approx(106, abs=0.1)
    assert result["ssim"] == pytest.approx(1)
    assert result["masked_mse"] == 0


def test_samples_outside_the_range_are_clamped(frames):
    sample, target, mask = frames
    assert measure((sample * 3, target, mask), 9) == measure(((sample * 3).clamp(-1, 1), target, mask), 9)


def test_bf16_samples_are_measured_in_float32(frames):
    sample, target, mask = frames
    assert measure((sample.bfloat16(), target, mask), 9) == measure((sample.bfloat16().float(), target, mask), 9)
