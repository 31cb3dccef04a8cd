"""Scores against closed forms for Gaussian ensembles, scipy and scikit-image.

The axis of frames holds repetitions where an expectation is tested.
"""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import center_of_mass
from scipy.stats import chisquare, norm
from skimage.metrics import structural_similarity
from torch import nn

from smoke_vq.evaluation.forecasts.scores import FORECAST_SCORES, Forecast, forecast_figure, make_scores
from smoke_vq.evaluation.forecasts.scores.centre import centre
from smoke_vq.evaluation.forecasts.scores.front import front
from smoke_vq.losses.perceptual import FeatureDistance


def normal(*shape: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + shift


def score(name: str, forecast: Forecast, **options) -> dict[str, torch.Tensor]:
    """Figures of one forecast, (T,) each."""
    (measure,) = make_scores([name], **{name: options}).values()
    assert measure.applies_to(forecast)
    return measure.combine(measure.measure(forecast))


def grey(levels: list[float], size: int = 4) -> torch.Tensor:
    """Frames of one brightness in [-1, 1]: (T, 3, size, size)."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 3, size, size)


def test_fair_crps_equals_the_integral_over_the_distribution_of_the_members():
    members, truth = normal(5, 1, 1, 1, 1), normal(1, 1, 1, 1, seed=1)
    x, y = members.flatten().double().numpy(), float(truth)
    z = np.linspace(-6, 6, 1_200_001)
    biased = np.trapezoid(((x[:, None] <= z).mean(axis=0) - (z >= y)) ** 2, z)
    error = np.abs(x - y).mean()
    fair = error - (error - biased) * len(x) / (len(x) - 1)
    assert float(score("crps", Forecast(members, truth))["crps"]) == pytest.approx(fair, abs=1e-4)


@pytest.mark.parametrize("num_members", [2, 10])
def test_fair_crps_of_any_number_of_members_is_that_of_the_distribution(num_members):
    y = 0.7
    expected = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / math.sqrt(math.pi)
    forecast = Forecast(normal(num_members, 1, 1, 500, 500), torch.full((1, 1, 500, 500), y))
    assert float(score("crps", forecast)["crps"]) == pytest.approx(expected, abs=0.005)


def test_crps_of_one_member_is_its_absolute_error():
    members, truth = normal(1, 3, 3, 4, 4), normal(3, 3, 4, 4, seed=1)
    expected = (members[0] - truth).abs().mean(dim=(1, 2, 3))
    assert torch.allclose(score("crps", Forecast(members, truth))["crps"], expected)


@pytest.mark.parametrize(("num_members", "scale"), [(2, 1.0), (8, 1.0), (3, 0.5)])
def test_spread_over_skill_of_gaussian_members(num_members, scale):
    """1 for exchangeable members, also for two of them."""
    forecast = Forecast(normal(num_members, 1, 1, 500, 500, scale=scale), normal(1, 1, 500, 500, seed=1))
    variance, error = scale**2 * (num_members + 1) / num_members, 1 + scale**2 / num_members
    assert float(score("spread_skill", forecast)["spread_skill"]) == pytest.approx(
        math.sqrt(variance / error), rel=0.01
    )


@pytest.mark.parametrize("digits", [4, 1])
def test_ranks_of_exchangeable_members_are_uniform_with_and_without_ties(digits):
    values = (0.2 * normal(8, 5, 1, 100, 100, seed=1)).round(decimals=digits)
    ranks = make_scores(["rank_histogram"])["rank_histogram"]
    counts = ranks.measure(Forecast(values[1:], values[0]))["counts"]
    assert counts.shape == (5, 8) and chisquare(counts.sum(dim=0).numpy()).pvalue > 0.01
    assert ranks.combine({"counts": counts})["outliers"].mean() == pytest.approx(1, abs=0.02)


def test_ranks_show_too_little_spread_and_leave_black_pixels_out():
    truth, members = normal(1, 1, 60, 60, scale=0.3), normal(7, 1, 1, 60, 60, seed=1, scale=0.1)
    truth[..., 30:], members[..., 30:] = -1, -1
    ranks = make_scores(["rank_histogram"])["rank_histogram"]
    counts = ranks.measure(Forecast(members, truth))["counts"]
    assert counts.sum() == 60 * 30
    assert float(ranks.combine({"counts": counts})["outliers"]) > 1.5


def folded(mean: float, variance: float) -> float:
    """E|X| of a Gaussian."""
    deviation = math.sqrt(variance)
    return deviation * math.sqrt(2 / math.pi) * math.exp(-(mean**2) / (2 * variance)) + mean * (
        1 - 2 * norm.cdf(-mean / deviation)
    )


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_energy_distance_of_gaussians_without_bias_from_few_members(shift, scale):
    members = normal(3, 200_000, 1, 1, 1, scale=scale, shift=shift)
    futures = normal(4, 200_000, 1, 1, 1, seed=1)
    expected = 2 * folded(shift, 1 + scale**2) - folded(0, 2 * scale**2) - folded(0, 2)
    found = score("energy_distance", Forecast(members, futures[0], futures))["energy_distance"].mean()
    assert float(found) == pytest.approx(expected, abs=0.01)


def test_energy_distance_is_in_units_of_a_pixel_and_takes_one_member_as_certain():
    futures = torch.stack([grey([0.5]), grey([-0.5])])
    found = score("energy_distance", Forecast(grey([0.0])[None], futures[0], futures))["energy_distance"]
    assert float(found) == pytest.approx(2 * 0.5 - 0 - 1.0)


def test_spread_ratio_compares_with_the_futures():
    futures, members = normal(50, 2, 3, 20, 20), normal(50, 2, 3, 20, 20, seed=1, scale=0.5)
    ratio = score("spread_ratio", Forecast(members, futures[0], futures))["spread_ratio"]
    assert ratio.tolist() == pytest.approx([0.5, 0.5], rel=0.02)
    maps = make_scores(["spread_ratio"])["spread_ratio"].measure(Forecast(members, futures[0], futures))
    assert maps["variance_map"].shape == maps["true_variance_map"].shape == (2, 20, 20)


def test_only_members_that_are_no_futures_are_compared_with_futures():
    futures = torch.stack([grey([0.1 * n]) for n in range(5)])
    forecast = Forecast(futures[1:], futures[0], futures[3:], num_compared=2)
    assert torch.equal(forecast.compared, futures[1:3])
    within = 0.1
    expected = 2 * 0.2 - within - within
    assert float(score("energy_distance", forecast)["energy_distance"]) == pytest.approx(expected, abs=1e-6)


def test_psnr_of_members_and_of_their_mean():
    forecast = Forecast(torch.stack([grey([0.2]), grey([-0.2])]), grey([0.0]))
    figures = score("psnr", forecast)
    assert float(figures["psnr"]) == pytest.approx(20, abs=1e-4)  # 10 log10(4 / 0.04)
    assert float(figures["psnr_mean"]) == pytest.approx(10 * math.log10(4 / 1e-10), abs=1e-3)


def test_ssim_equals_scikit_image():
    frames = torch.rand(3, 2, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    figures = score("ssim", Forecast(frames[:2], frames[2]))["ssim"]
    options = dict(channel_axis=0, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    unit = (frames.double().numpy() + 1) / 2
    for t in range(2):
        expected = np.mean([structural_similarity(unit[s, t], unit[2, t], **options) for s in range(2)])
        assert float(figures[t]) == pytest.approx(expected, abs=1e-4)


def test_lpips_is_the_mean_distance_of_at_most_max_members():
    network = FeatureDistance([nn.Conv2d(3, 4, 3)], [1.0], 3)
    members, truth = torch.rand(3, 2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    expected = torch.stack([network(member, truth) for member in members[:2]]).mean(dim=0)
    found = score("lpips", Forecast(members, truth), network=network, max_members=2)["lpips"]
    assert torch.allclose(found, expected)


def test_iou_of_pixels_above_minus_0_8():
    truth, member = grey([-1.0, -1.0]).clone(), grey([-1.0, -1.0]).clone()
    truth[0, :, :2], member[0, :, 1:3] = -0.79, 0.0
    member[0, :, 3] = -0.81  # not smoke
    figures = score("iou", Forecast(member[None], truth))
    assert float(figures["iou"][0]) == pytest.approx(1 / 3) and figures["iou"][1].isnan()
    assert torch.equal(figures["iou"].nan_to_num(), figures["iou_mean"].nan_to_num())


def test_mass_error_is_relative_and_undefined_for_black():
    members = torch.stack([grey([0.0, 0.0]), grey([-0.5, 0.0])])
    figures = score("mass", Forecast(members, grey([-0.5, -1.0])))
    assert float(figures["mass_error"][0]) == pytest.approx((1 + 0) / 2)  # a mass of 0.5 and one of 0.25 for 0.25
    assert float(figures["mass_error_mean"][0]) == pytest.approx(0.5)
    assert figures["mass_error"][1].isnan()


def test_front_is_the_height_below_which_nearly_all_smoke_lies():
    light = torch.zeros(3, 10, 10)
    light[0, 4:] = 1  # six rows from the bottom
    light[1, :] = 1
    assert front(light).tolist() == pytest.approx([0.98 * 0.6, 0.98, 0.0])
    forecast = Forecast(2 * light[None, :, None].expand(1, 3, 3, 10, 10) - 1, grey([-1.0, -1.0, -1.0], 10))
    assert score("front", forecast)["front_error"].tolist() == pytest.approx([0.588, 0.98, 0.0])


def test_centre_of_mass_equals_scipy():
    light = torch.rand(4, 9, 12, generator=torch.Generator().manual_seed(0))
    down, right = np.array([center_of_mass(frame.numpy()) for frame in light]).T
    expected = np.stack([(down - 4) / 9, (right - 5.5) / 12], axis=1)
    assert centre(light).numpy() == pytest.approx(expected, abs=1e-5)
    assert centre(torch.zeros(5, 5)).tolist() == [0, 0]


def test_scores_that_need_members_or_futures_do_not_apply_without():
    one, two = Forecast(torch.zeros(1, 1, 3, 4, 4), grey([0.0])), Forecast(torch.zeros(2, 1, 3, 4, 4), grey([0.0]))
    scores = make_scores([name for name in FORECAST_SCORES if name != "lpips"])
    assert {name for name in scores if not scores[name].applies_to(one)} == {
        *("spread_skill", "rank_histogram", "energy_distance", "spread_ratio")
    }
    assert {name for name in scores if not scores[name].applies_to(two)} == {"energy_distance", "spread_ratio"}


def test_every_figure_has_a_name_a_meaning_and_a_place_in_the_table():
    for kind in FORECAST_SCORES.values():
        for figure in kind.figures:
            assert figure.meaning and forecast_figure(figure.name) is figure
    with pytest.raises(ValueError, match="Unknown score 'psrn'"):
        make_scores(["psrn"])
