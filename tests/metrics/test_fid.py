"""FID and KID against NumPy and SciPy in float64, on random features."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from smoke_vq.metrics import Batch, InceptionDistance
from smoke_vq.metrics.fid import INCEPTION_VARIABLE, InceptionFeatures, fid_and_kid

WEIGHTS = Path(__file__).resolve().parents[3] / "shared/weights/inception_v3_fid_2015_12_05_fp16.safetensors"


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(12, 12, generator=generator)
    return torch.randn(80, 12, generator=generator), torch.randn(80, 12, generator=generator) @ mix / 3 + 0.5


def test_fid_equals_scipy(features):
    real, fake = (x.double().numpy() for x in features)
    covariances = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    distance = np.square(real.mean(0) - fake.mean(0)).sum()
    expected = distance + np.trace(covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real)
    assert fid_and_kid(*features)["fid"] == pytest.approx(expected, rel=1e-4)


def test_kid_is_the_unbiased_mmd_of_a_cubic_kernel(features):
    real, fake = (x.double().numpy() for x in features)
    n, d = real.shape
    kernel = lambda x, y: (x @ y.T / d + 1) ** 3  # noqa: E731
    own = sum((kernel(x, x).sum() - np.trace(kernel(x, x))) / (n * (n - 1)) for x in (real, fake))
    expected = own - 2 * kernel(real, fake).mean()
    found = fid_and_kid(*features)
    assert found["kid"] == pytest.approx(expected, rel=1e-4) and found["num_images"] == 80


def test_subsets_are_reproducible_and_do_not_change_the_random_state():
    real, fake = torch.rand(1010, 4), torch.rand(1010, 4)
    torch.manual_seed(1)
    first = fid_and_kid(real, fake)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert fid_and_kid(real, fake) == first or pytest.fail("the subsets differ")
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)


def test_one_image_is_refused():
    with pytest.raises(ValueError, match="at least 2 images, found 1"):
        fid_and_kid(torch.rand(1, 4), torch.rand(5, 4))


def test_features_of_the_targets_are_computed_once_for_several_models():
    seen = []

    def network(images):
        seen.append(len(images))
        return images.flatten(1).float()

    metric, target = InceptionDistance(network), torch.rand(6, 3, 4, 4) * 2 - 1
    for sample in (target, target / 2):
        metric.reset()
        for part, true_part in zip(sample.split(3), target.split(3), strict=True):
            metric.update(Batch(part, true_part))
        metric.gather(lambda values: values)
        assert metric.compute()["num_images"] == 6
    assert metric.compute()["fid"] > 0 and sum(seen) == 6 + 6 + 6


def test_processes_that_do_not_compute_gather_the_same_values():
    """Or two processes with several models wait for each other for ever."""
    metric, target, gathered = InceptionDistance(lambda images: images.flatten(1).float()), torch.zeros(2, 3, 4, 4), []
    for _ in range(2):
        metric.reset()
        metric.update(Batch(target, target))
        metric.gather(lambda values: gathered.append(values) or values)
    assert len(gathered) == 2 + 1


def test_a_missing_weights_file_is_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"Inception weights .* do not exist"):
        InceptionFeatures(tmp_path / "none.safetensors")
    monkeypatch.setenv(INCEPTION_VARIABLE, str(tmp_path / "other.safetensors"))
    with pytest.raises(FileNotFoundError, match="other"):
        InceptionFeatures()


def test_a_file_of_another_network_is_refused(tmp_path):
    pytest.importorskip("torch_fidelity")
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="does not hold the weights of FID"):
        InceptionFeatures(tmp_path / "other.safetensors")


def test_features_distinguish_smooth_images_from_noise():
    pytest.importorskip("torch_fidelity")
    path = Path(os.environ.get(INCEPTION_VARIABLE, WEIGHTS))
    if not path.is_file():
        pytest.skip(f"no Inception weights: set {INCEPTION_VARIABLE}")
    network = InceptionFeatures(path)
    noise = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = network(torch.cat([noise, torch.nn.functional.avg_pool2d(noise.float(), 9, 1, 4).byte()]))
    assert features.shape == (4, 2048) and features.min() >= 0
    within, across = (features[0] - features[1]).norm(), (features[0] - features[2]).norm()
    assert across > 2 * within
