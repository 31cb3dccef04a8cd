"""Checks of a model's configuration before its class is imported."""

import pytest

from smoke_vq.model_config import model_parameters
from smoke_vq.model_values import check_autoencoder, check_forecaster, check_same, downsampling_factor
from smoke_vq.models import SmokeVQVAE


def test_the_defaults_of_a_model_are_accepted():
    check_autoencoder(model_parameters("SmokeVQVAE"))
    check_forecaster(model_parameters("SmokeFlowTransformer"))


@pytest.mark.parametrize("change", [{"sample_size": 60}, {"latents_mean": [0.0]}, {"layers_per_block": 0}])
def test_the_class_refuses_a_value_with_the_same_sentence(change):
    with pytest.raises(ValueError) as early:
        check_autoencoder(model_parameters("SmokeVQVAE") | change)
    with pytest.raises(ValueError) as late:
        SmokeVQVAE(**change)
    assert str(early.value) == str(late.value)


def test_the_factor_is_that_of_the_model():
    levels = {"encoder_block_out_channels": [4, 8, 8], "decoder_block_out_channels": [8, 8, 4]}
    assert downsampling_factor(levels) == SmokeVQVAE(**levels, latent_channels=4).downsampling_factor == 4


def test_only_values_that_are_given_and_known_are_compared():
    found = {"latent_channels": 8, "encoder_block_out_channels": (4, 8)}
    check_same("nano", found, {"latent_channels": 8, "encoder_block_out_channels": [4, 8]}, "model")
    check_same("nano", found, {"latent_channels": None, "sample_size": 64}, "model")
    with pytest.raises(ValueError, match=r"nano has model.latent_channels = 8, but the configuration has 9: make them"):
        check_same("nano", found, {"latent_channels": 9}, "model")
