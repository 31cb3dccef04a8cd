"""Reading the configuration of a model before its class is imported."""

import inspect
import json

import pytest

from smoke_vq import NANO_MODEL, SmokeImageProcessor, models
from smoke_vq.layout import PIPELINE, PROCESSOR
from smoke_vq.model_config import AUTOENCODERS, check_model, frame_size, model_parameters
from smoke_vq.models import auto


def test_autoencoders_are_those_that_load():
    assert set(AUTOENCODERS) == set(auto.AUTOENCODERS)


@pytest.mark.parametrize(
    "name", ["SmokeVQVAE", "SmokeVQGAN", "PatchDiscriminator", "LatentProjection", "SmokeFlowTransformer"]
)
def test_parameters_that_are_read_from_the_source_are_those_of_the_class(name):
    parameters = inspect.signature(getattr(models, name)).parameters
    assert model_parameters(name) == {key: parameter.default for key, parameter in parameters.items()}


def test_the_configuration_and_frame_size_of_a_local_model():
    assert check_model("nano", AUTOENCODERS) == json.loads((NANO_MODEL / "config.json").read_text())
    assert check_model("nano_forecaster", ["SmokeForecastPipeline"], PIPELINE) is not None
    assert frame_size("nano") == SmokeImageProcessor.from_pretrained("nano").height == 64


def test_a_model_on_the_hub_is_left_to_the_download():
    assert frame_size("nano_forecaster", "processor") == 64
    assert check_model("user/model", AUTOENCODERS) is None and frame_size("user/model") is None


def test_a_folder_without_a_model_or_with_another_one_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not hold config\.json: found no files"):
        check_model(tmp_path, AUTOENCODERS)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="does not name a model class"):
        check_model(tmp_path, AUTOENCODERS)
    (tmp_path / "config.json").write_text('{"_class_name": "LatentProjection"}')
    with pytest.raises(ValueError, match="holds a LatentProjection: expected a SmokeVQVAE or SmokeVQGAN"):
        check_model(tmp_path, AUTOENCODERS)
    assert frame_size(tmp_path) is None
    (tmp_path / PROCESSOR).write_text("[]")
    assert frame_size(tmp_path) is None
