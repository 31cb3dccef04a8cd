"""k-means: finds clusters, is reproducible, and is as good as SciPy's."""

import numpy as np
import pytest
import torch

from smoke_vq.quantizers import kmeans as kmeans_module
from smoke_vq.quantizers.kmeans import kmeans
from smoke_vq.quantizers.nearest import nearest_codes


def clusters(num_clusters: int, per_cluster: int, spread: float, dim: int = 8, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    centres = 10 * torch.randn(num_clusters, dim, generator=generator)
    noise = spread * torch.randn(num_clusters, per_cluster, dim, generator=generator)
    vectors = (centres[:, None] + noise).flatten(0, 1)
    return centres, vectors[torch.randperm(len(vectors), generator=generator)]


def inertia(vectors: torch.Tensor, centres: torch.Tensor) -> float:
    return float((vectors - centres[nearest_codes(vectors, centres)]).double().square().sum(dim=1).mean())


def test_recovers_well_separated_clusters():
    centres, vectors = clusters(16, 100, spread=0.1)
    found = kmeans(vectors, 16)
    assert found.shape == (16, 8) and found.dtype == torch.float32
    assert sorted(nearest_codes(centres, found).tolist()) == list(range(16))
    assert torch.cdist(centres, found).amin(dim=1).max() < 0.1


def test_centres_are_the_means_of_their_clusters():
    _, vectors = clusters(8, 50, spread=0.1)
    found = kmeans(vectors, 8)
    nearest = nearest_codes(vectors, found)
    means = torch.stack([vectors[nearest == code].mean(dim=0) for code in range(8)])
    torch.testing.assert_close(found, means)


def test_the_same_seed_gives_the_same_centres():
    _, vectors = clusters(8, 50, spread=3.0)
    state = torch.get_rng_state()
    assert torch.equal(kmeans(vectors, 24, seed=3), kmeans(vectors, 24, seed=3))
    assert not torch.equal(kmeans(vectors, 24, seed=3), kmeans(vectors, 24, seed=4))
    assert torch.equal(torch.get_rng_state(), state), "k-means must not draw from the global generator"


@pytest.mark.parametrize("distinct", [1, 3, 12])
def test_accepts_duplicate_vectors(distinct):
    vectors = torch.randn(distinct, 4, generator=torch.Generator().manual_seed(0)).repeat(40, 1)
    found = kmeans(vectors, 12)
    assert found.isfinite().all()
    assert inertia(vectors, found) < 1e-10
    assert torch.cdist(found, vectors).amin(dim=1).max() < 1e-3, "a code without vectors takes one of them"


def test_as_many_codes_as_vectors():
    vectors = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    assert inertia(vectors, kmeans(vectors, 10)) < 1e-10


def test_bf16_vectors_are_averaged_in_float32():
    _, vectors = clusters(4, 2000, spread=0.5)
    vectors = vectors.bfloat16()
    assert torch.equal(kmeans(vectors, 4), kmeans(vectors.float(), 4))


@pytest.mark.parametrize("spread", [1.0, 10.0], ids=["clusters", "one cloud"])
def test_as_good_as_scipy(spread):
    vq = pytest.importorskip("scipy.cluster.vq")
    _, vectors = clusters(32, 100, spread=spread)
    theirs, _ = vq.kmeans2(vectors.double().numpy(), 48, iter=10, minit="++", rng=np.random.default_rng(0))
    ours = inertia(vectors, kmeans(vectors, 48, num_iterations=10))
    assert ours <= 1.1 * inertia(vectors, torch.from_numpy(theirs).float())


@pytest.fixture
def in_rounds(monkeypatch):
    """k-means as it is with many codes."""
    monkeypatch.setattr(kmeans_module, "MAX_DRAWN_SINGLY", 0)


@pytest.mark.parametrize("spread", [1.0, 10.0], ids=["clusters", "one cloud"])
def test_seeds_in_rounds_are_nearly_as_good(monkeypatch, spread):
    _, vectors = clusters(64, 60, spread=spread)
    singly = inertia(vectors, kmeans(vectors, 192))
    monkeypatch.setattr(kmeans_module, "MAX_DRAWN_SINGLY", 0)
    found = kmeans(vectors, 192)
    assert inertia(vectors, found) <= 1.05 * singly
    assert torch.equal(found, kmeans(vectors, 192)) and not torch.equal(found, kmeans(vectors, 192, seed=1))


def test_seeds_in_rounds_find_separated_clusters_and_accept_duplicates(in_rounds):
    centres, vectors = clusters(16, 100, spread=0.1)
    assert torch.cdist(centres, kmeans(vectors, 64)).amin(dim=1).max() < 0.3
    vectors = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).repeat(40, 1)
    found = kmeans(vectors, 12)
    assert found.isfinite().all() and inertia(vectors, found) < 1e-10
    assert torch.equal(kmeans(vectors, len(vectors)), vectors)


def test_many_codes_take_no_loop_over_codes(monkeypatch):
    """8,192 codes: the searches are those of at most 90 rounds and 1 iteration."""
    calls, real = [], kmeans_module.nearest_codes
    monkeypatch.setattr(kmeans_module, "nearest_codes", lambda *pair: (calls.append(1), real(*pair))[1])
    vectors = torch.randn(10_000, 2, generator=torch.Generator().manual_seed(0))
    found = kmeans(vectors, 8192, num_iterations=1)
    assert found.shape == (8192, 2) and len(calls) <= 91
    assert len(found.unique(dim=0)) == 8192


def test_refuses_fewer_vectors_than_codes():
    with pytest.raises(ValueError, match="found 5 for 6 codes"):
        kmeans(torch.zeros(5, 2), 6)
