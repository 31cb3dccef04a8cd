"""Principal components in one pass, against scikit-learn on all vectors at once."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from sklearn.decomposition import PCA

from smoke_vq.tokens import principal_components


@pytest.fixture
def latents() -> torch.Tensor:
    """(30, 6, 4, 4): correlated channels far from zero."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=generator) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2, 0.1])
    return torch.einsum("dk,bkhw->bdhw", mixing, torch.randn(30, 6, 4, 4, generator=generator)) + 10


def test_are_those_of_scikit_learn(latents):
    found = principal_components(latents.split(7), Accelerator(cpu=True))
    vectors = latents.double().permute(0, 2, 3, 1).flatten(0, 2).numpy()
    expected = PCA(svd_solver="full").fit(vectors)
    assert np.allclose(found.mean, expected.mean_, rtol=1e-12)
    assert np.allclose(found.components, expected.components_, atol=1e-10), "signs included"
    unbiased = len(vectors) / (len(vectors) - 1)
    assert np.allclose(found.variances * unbiased, expected.explained_variance_, rtol=1e-10)
    assert np.allclose(found.explained, expected.explained_variance_ratio_.cumsum(), rtol=1e-12)


class SecondProcess:
    """The other of two processes, whose sums `reduce` adds."""

    def __init__(self, others: list[torch.Tensor]):
        self.others, self.total = others, None

    def reduce(self, total: torch.Tensor, kind: str) -> torch.Tensor:
        first = Recorder()
        principal_components(self.others, first)
        return total + first.total


class Recorder:
    def reduce(self, total: torch.Tensor, kind: str) -> torch.Tensor:
        self.total = total
        return total


def test_two_processes_find_what_one_finds(latents):
    one = principal_components([latents], Accelerator(cpu=True))
    two = principal_components([latents[::2]], SecondProcess([latents[1::2]]))
    for name in ("mean", "components", "variances"):
        assert torch.allclose(getattr(one, name), getattr(two, name), atol=1e-10), name


def test_channels_of_no_variance_are_last(latents):
    latents[:, 3] = 7.0
    found = principal_components([latents], Accelerator(cpu=True))
    assert float(found.variances[-1]) == pytest.approx(0, abs=1e-9) and float(found.variances.min()) >= 0
    assert torch.allclose(found.components[-1], torch.eye(6).double()[3], atol=1e-6)


def test_no_latents_and_latents_that_are_not_finite_are_refused(latents):
    with pytest.raises(ValueError, match="Principal components need latents: found none"):
        principal_components([], Accelerator(cpu=True))
    latents[2, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="Principal components need finite latents: found infinite ones or NaN"):
        principal_components([latents], Accelerator(cpu=True))
