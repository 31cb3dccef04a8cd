"""What the tests of downloads and pushes share."""

import pytest
import torch


@pytest.fixture
def same(tiny_model, pixel_values):
    """Whether a model reconstructs as the one that was saved, to the last bit."""

    @torch.no_grad()
    def same(model) -> bool:
        return torch.equal(model(pixel_values).sample, tiny_model(pixel_values).sample)

    return same
