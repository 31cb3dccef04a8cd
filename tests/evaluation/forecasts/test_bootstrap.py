import numpy as np
import pytest
import torch
from scipy.stats import bootstrap

from smoke_vq.evaluation.forecasts.bootstrap import draws, interval, weighted_means


def test_interval_of_a_mean_equals_scipy():
    values = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = weighted_means(values, draws([str(n) for n in range(40)], 10_000))
    expected = bootstrap((values.numpy(),), np.mean, method="percentile", n_resamples=10_000, rng=0)
    assert interval(drawn).tolist() == pytest.approx(list(expected.confidence_interval), abs=0.02)


def test_forecasts_of_one_plume_stay_together():
    weights = draws(["a", "b", "a", "c", "b"], 100)
    assert torch.equal(weights[:, 0], weights[:, 2]) and torch.equal(weights[:, 1], weights[:, 4])
    assert ((weights[:, 0] + weights[:, 1] + weights[:, 3]) == 3).all()


def test_copies_of_a_forecast_in_a_group_do_not_narrow_the_interval():
    values = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    names = [str(n) for n in range(30)]
    once = interval(weighted_means(values, draws(names, 500)))
    four_times = interval(weighted_means(values.repeat(4), draws(names * 4, 500)))
    assert torch.allclose(once, four_times)


def test_undefined_values_are_left_out():
    values = torch.tensor([[1.0, torch.nan], [3.0, torch.nan]], dtype=torch.float64)
    means = weighted_means(values, torch.tensor([[1.0, 3.0]], dtype=torch.float64))
    assert means[0, 0] == 2.5 and means[0, 1].isnan()
