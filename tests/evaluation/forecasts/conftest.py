"""A small test set: noise that moves, 12x12, with 5 futures of 4 frames each."""

import numpy as np
import pytest

from smoke_vq.evaluation.forecasts.cases import ForecastCase


def make_cases(num_plumes: int = 3, num_futures: int = 5, num_frames: int = 4, size: int = 12) -> list[ForecastCase]:
    """Two forecasts of each plume."""
    rng = np.random.default_rng(0)
    cases = []
    for seed in range(num_plumes):
        for start in (3, 5):
            past = rng.integers(0, 256, (start, size, size, 3), dtype=np.uint8)
            futures = rng.integers(0, 256, (num_futures, num_frames, size, size, 3), dtype=np.uint8)
            cases.append(ForecastCase(f"seed {seed}, start {start}", str(seed), past, futures))
    return cases


@pytest.fixture
def cases() -> list[ForecastCase]:
    return make_cases()
