"""A pipeline is saved, loaded, and refused when it is incomplete or damaged."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from forecasters import forecast

import smoke_vq
from smoke_vq import LatentProjection, SmokeForecastPipeline, SmokeVQVAE
from smoke_vq.layout import CHECKSUMS

load = SmokeForecastPipeline.from_pretrained


@pytest.fixture
def folder(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "forecaster")
    return tmp_path / "forecaster"


def edit_index(folder: Path, **changes) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | changes))
    (folder / CHECKSUMS).unlink(missing_ok=True)


@pytest.mark.parametrize("with_projection", [True, False])
def test_a_loaded_pipeline_gives_the_same_bits(make_pipeline, clip, tmp_path, with_projection):
    pipeline = make_pipeline(with_projection)
    pipeline.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert isinstance(loaded, SmokeForecastPipeline) and smoke_vq.SmokeForecastPipeline is SmokeForecastPipeline
    assert torch.equal(forecast(loaded, clip, output_type="pt"), forecast(pipeline, clip, output_type="pt"))
    assert (loaded.projection is None) is not with_projection and not loaded.transformer.training
    assert loaded.components.keys() == pipeline.components.keys()


def test_a_part_may_be_given_instead_of_that_in_the_folder(folder, pipeline, other_decoder, clip, tiny_kwargs):
    loaded = load(folder, autoencoder=other_decoder)
    assert loaded.autoencoder is other_decoder
    assert not torch.equal(forecast(loaded, clip, output_type="pt"), forecast(pipeline, clip, output_type="pt"))
    with pytest.raises(ValueError, match="The projection belongs to another autoencoder"):
        load(folder, autoencoder=SmokeVQVAE(**tiny_kwargs))


def test_the_folder_has_no_local_path_and_can_be_saved_again(folder, clip, tmp_path):
    loaded = load(folder)
    loaded.save_pretrained(tmp_path / "again")
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes(), path
            assert path.suffix != ".json" or str(tmp_path) not in path.read_text()


def test_saving_without_a_projection_removes_an_older_one(folder, make_pipeline):
    make_pipeline(with_projection=False).save_pretrained(folder)
    assert not (folder / "projection").exists() and load(folder).projection is None


@pytest.mark.parametrize("stored_in_half", [True, False])
def test_half_precision_on_disk(make_pipeline, tiny_model, tmp_path, clip, stored_in_half):
    """An autoencoder that was stored in fp16, as the nano model is, stays so; another one stays in float32."""
    if stored_in_half:
        tiny_model.load_state_dict(tiny_model.in_half(torch.float16).state_dict())
    pipeline = make_pipeline()
    pipeline.save_pretrained(tmp_path / "whole")
    pipeline.save_pretrained(tmp_path / "half", dtype=torch.float16)
    loaded = load(tmp_path / "half")
    assert pipeline.transformer.dtype == loaded.transformer.dtype == torch.float32

    def size(folder: str, part: str) -> int:
        return (tmp_path / folder / part / "diffusion_pytorch_model.safetensors").stat().st_size

    assert size("half", "transformer") < 0.6 * size("whole", "transformer")
    assert (size("half", "autoencoder") < 0.7 * size("whole", "autoencoder")) is stored_in_half
    assert size("half", "projection") == size("whole", "projection")
    difference = forecast(loaded, clip, output_type="pt", quantize=False)
    difference -= forecast(pipeline, clip, output_type="pt", quantize=False)
    assert float(difference.abs().max()) < 0.05
    with pytest.raises(ValueError, match=r"dtype expects torch.float32, torch.float16 or torch.bfloat16, found 'fp16'"):
        pipeline.save_pretrained(tmp_path / "half", dtype="fp16")


def test_half_precision_in_memory(folder, clip):
    loaded = load(folder, dtype=torch.bfloat16)
    assert {part.dtype for part in (loaded.transformer, loaded.projection)} == {torch.bfloat16}
    assert loaded.autoencoder.quantizer.codebook.dtype == torch.float32
    assert forecast(loaded, clip, num_samples=2).shape == (2, 3, 16, 16, 3)
    with pytest.raises(ValueError, match=r"dtype expects torch.float32, torch.float16 or torch.bfloat16, found 'fp16'"):
        load(folder, dtype="fp16")


def test_incomplete_and_foreign_folders_are_refused(folder, tmp_path):
    with pytest.raises(OSError, match=r"The folder .* does not hold model_index.json: found config.json"):
        load(folder / "transformer")
    with pytest.raises(OSError, match="does not exist"):
        load(tmp_path / "nothing")
    for name, error, sentence in (
        ("transformer", OSError, "forecaster is incomplete: it does not hold the folder transformer"),
        ("projection", OSError, "is incomplete: it does not hold the folder projection"),
        ("autoencoder/config.json", OSError, "does not hold config.json"),
        ("transformer/diffusion_pytorch_model.safetensors", OSError, "does not hold diffusion_pytorch_model.safetens"),
        ("processor/preprocessor_config.json", OSError, "does not hold preprocessor_config.json"),
        ("model_index.json", OSError, "does not hold model_index.json"),
    ):
        broken = tmp_path / "broken" / "forecaster"
        shutil.copytree(folder, broken)
        (shutil.rmtree if (broken / name).is_dir() else Path.unlink)(broken / name)
        with pytest.raises(error, match=sentence):
            load(broken)
        shutil.rmtree(broken)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"_class_name": "StableDiffusionPipeline"}, "holds a StableDiffusionPipeline: expected a SmokeForecastPipe"),
        ({"_smoke_vq_format": 99}, "upgrade smoke_vq to load it"),
        ({"transformer": ["os", "system"]}, "Unknown class of the part 'transformer' 'system': expected one of"),
        (
            {"scheduler": ["diffusers", "DDIMScheduler"]},
            "has the part 'scheduler', which SmokeForecastPipeline has not",
        ),
        ({"transformer": "SmokeFlowTransformer"}, "has the part 'transformer'"),
        ({"transformer": [None, None]}, "Unknown class of the part 'transformer' None"),
        ({"projection": [None, None]}, "latents are normalized by latents_mean"),
    ],
)
def test_another_index_is_refused(folder, changes, sentence):
    edit_index(folder, **changes)
    with pytest.raises(ValueError, match=sentence):
        load(folder)


def test_a_damaged_index_or_part_is_refused(folder):
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"The weights in .*transformer are damaged"):
        load(folder)
    weights.write_bytes(whole)
    (folder / "model_index.json").write_text("{")
    with pytest.raises(ValueError, match=r"The model_index.json of .* is not valid JSON"):
        load(folder)


def test_a_part_from_another_pipeline_is_refused(folder):
    LatentProjection(8, 3, autoencoder_sha256="0" * 64).save_pretrained(folder / "projection")
    with pytest.raises(ValueError, match="The projection belongs to another autoencoder"):
        load(folder)


def edit_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    (folder / CHECKSUMS).unlink(missing_ok=True)


@pytest.mark.parametrize(
    "changes", [{"latents_mean": [0.2] * 8}, {"latents_std": [0.6] * 8}, {"scaling_factor": 0.5}], ids=" ".join
)
def test_statistics_that_were_measured_anew_are_refused_where_they_are_used(make_pipeline, tmp_path, clip, changes):
    pipeline = make_pipeline(with_projection=False)
    pipeline.save_pretrained(tmp_path)
    before = forecast(load(tmp_path), clip, output_type="pt")
    edit_config(tmp_path / "autoencoder", **changes)
    with pytest.raises(ValueError, match="was trained with other latents_mean, latents_std or scaling_factor"):
        load(tmp_path)
    edit_config(tmp_path / "transformer", statistics_sha256=None)  # a model of an earlier version
    assert not torch.equal(forecast(load(tmp_path), clip, output_type="pt"), before)


def test_a_projection_does_not_use_the_statistics(folder, clip, pipeline):
    edit_config(folder / "autoencoder", latents_mean=[0.2] * 8, latents_std=[0.6] * 8)
    assert torch.equal(forecast(load(folder), clip, output_type="pt"), forecast(pipeline, clip, output_type="pt"))


def test_keywords_are_checked(folder):
    with pytest.raises(ValueError, match="unknown keyword 'torch_dtyp'"):
        load(folder, torch_dtyp=torch.float16)
    with pytest.raises(ValueError, match="is a local folder and has no revision 'main'"):
        load(folder, revision="main")


def test_a_save_that_fails_leaves_no_index(folder, pipeline, monkeypatch):
    def fail(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(type(pipeline.transformer), "save_pretrained", fail)
    with pytest.raises(OSError, match="No space left"):
        pipeline.save_pretrained(folder)
    with pytest.raises(OSError, match=r"does not hold model_index.json"):
        load(folder)
