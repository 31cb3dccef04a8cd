"""The projection of latents: its start against scikit-learn, its inverse, its identity, and invalid input."""

import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from sklearn.decomposition import PCA

from smoke_vq import AutoSmokeModel, LatentProjection, SmokeVQVAE
from smoke_vq.tokens import PrincipalComponents, latents_digest, model_digest, principal_components

SHA256 = "0123456789abcdef" * 4


@pytest.fixture
def latents() -> torch.Tensor:
    """(40, 6, 4, 4): correlated channels, and a scale and a mean that no layer would guess."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=generator) * torch.tensor([30.0, 20.0, 10.0, 5.0, 2.0, 1.0])
    return torch.einsum("dk,bkhw->bdhw", mixing, torch.randn(40, 6, 4, 4, generator=generator)) + 100


def vectors(latents: torch.Tensor) -> np.ndarray:
    return latents.detach().double().permute(0, 2, 3, 1).flatten(0, 2).numpy()


@pytest.fixture
def fitted(latents):
    """A function (C, hidden_channels) -> a projection that starts from the principal components of `latents`."""

    def fit(projected_channels: int = 3, hidden_channels: int | None = None) -> LatentProjection:
        torch.manual_seed(0)
        projection = LatentProjection(6, projected_channels, hidden_channels)
        projection.set_principal_components(principal_components([latents], Accelerator(cpu=True)))
        return projection.eval()

    return fit


@pytest.mark.parametrize("hidden_channels", [None, 8])
def test_starts_as_the_pca_of_scikit_learn_times_one_factor(fitted, latents, hidden_channels):
    projection, pca = fitted(3, hidden_channels), PCA(3).fit(vectors(latents))
    output = projection(latents)
    expected = pca.transform(vectors(latents))
    factor = expected.var(axis=0).mean() ** -0.5
    assert np.allclose(vectors(output.projected), factor * expected, atol=1e-5)
    assert np.allclose(vectors(output.latents), pca.inverse_transform(expected), rtol=1e-5, atol=1e-3)
    assert torch.equal(projection.unproject(output.projected), output.latents)


def test_projected_channels_have_mean_0_and_mean_variance_1(fitted, latents):
    projected = vectors(fitted(3).project(latents))
    assert np.allclose(projected.mean(axis=0), 0, atol=1e-5)
    assert projected.var(axis=0).mean() == pytest.approx(1, rel=1e-5)
    assert (np.diff(projected.var(axis=0)) < 0).all()


def test_all_channels_lose_nothing(fitted, latents):
    assert torch.allclose(fitted(6)(latents).latents, latents, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("hidden_channels", [None, 8])
def test_normalizing_changes_only_the_projected_channels(fitted, latents, hidden_channels):
    projection = fitted(3, hidden_channels)
    for parameter in projection.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    before = projection(latents)
    mean, variances = vectors(before.projected).mean(axis=0), vectors(before.projected).var(axis=0)
    projection.normalize_projected(torch.from_numpy(mean), float(variances.mean()))
    after = projection(latents)
    assert np.allclose(
        vectors(after.projected), (vectors(before.projected) - mean) / variances.mean() ** 0.5, atol=1e-5
    )
    assert torch.allclose(after.latents, before.latents, rtol=1e-4, atol=1e-2)


def test_both_directions_learn(fitted, latents):
    projection = fitted(3, 8).train()
    projection(latents).latents.square().mean().backward()
    for name, parameter in projection.named_parameters():
        reached = float(parameter.grad.abs().sum()) > 0
        # The last layer of a residual is zero at the start, so that only it learns in the first step.
        assert reached is not name.startswith(("projection_residual.0", "unprojection_residual.0")), name


def test_saved_and_loaded_by_its_class_and_by_the_class_in_its_config(fitted, latents, tmp_path):
    projection = fitted(3, 8)
    projection.register_to_config(autoencoder_sha256=SHA256)
    projection.save_pretrained(tmp_path)
    for loader in (LatentProjection, AutoSmokeModel):
        loaded = loader.from_pretrained(tmp_path)
        assert type(loaded) is LatentProjection and torch.equal(loaded.project(latents), projection.project(latents))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["autoencoder_sha256"] == SHA256 and config["hidden_channels"] == 8


def test_published_with_a_card(fitted, hub):
    projection = fitted(3)
    projection.register_to_config(autoencoder_sha256=SHA256)
    projection.push_to_hub("user/projection")
    files = hub.files("user/projection")
    card = files["README.md"].decode()
    for words in ("LatentProjection: 6 latent channels of smoke plumes as 3", SHA256, "Linear maps that started"):
        assert words in card, words
    assert "{{" not in card and "library_name: smoke-vq" in card
    assert LatentProjection.from_pretrained("user/projection").config.projected_channels == 3


def test_the_autoencoder_is_checked(tiny_model, tiny_kwargs):
    for digest in (latents_digest, model_digest):  # the second is that of older files
        projection = LatentProjection(8, 4, autoencoder_sha256=digest(tiny_model))
        projection.check_autoencoder(tiny_model)
    torch.manual_seed(9)
    with pytest.raises(ValueError, match="belongs to another autoencoder: expected encoder and codebook with SHA-256"):
        projection.check_autoencoder(SmokeVQVAE(**tiny_kwargs))
    with pytest.raises(ValueError, match="does not name its autoencoder: autoencoder_sha256 is null"):
        LatentProjection(8, 4).check_autoencoder(tiny_model)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"projected_channels": 9}, r"projected_channels expects a number from 1 to latent_channels \(8\), found 9"),
        ({"projected_channels": 0}, r"projected_channels expects a number from 1 .*, found 0"),
        ({"hidden_channels": 0}, "hidden_channels expects 1 or more, or null for linear maps, found 0"),
        ({"autoencoder_sha256": "best"}, "autoencoder_sha256 expects 64 hexadecimal digits, found 'best'"),
    ],
)
def test_invalid_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        LatentProjection(8, **{"projected_channels": 4} | arguments)


def test_invalid_latents_and_components_are_refused(fitted, latents):
    projection = fitted(3)
    with pytest.raises(ValueError, match=r"Expected latents of shape \(B, 6, h, w\), found \(40, 5, 4, 4\)"):
        projection.project(latents[:, :5])
    with pytest.raises(ValueError, match=r"Expected projected latents of shape \(B, 3, h, w\), found \(6, 4, 4\)"):
        projection.unproject(latents[0])
    eight = PrincipalComponents(torch.zeros(8), torch.eye(8), torch.ones(8))
    with pytest.raises(ValueError, match="Expected principal components of 6 channels, found 8"):
        projection.set_principal_components(eight)
    equal = principal_components([torch.full_like(latents, 0.5)], Accelerator(cpu=True))
    with pytest.raises(ValueError, match="Expected latents that differ, found principal components of variance 0"):
        projection.set_principal_components(equal)
