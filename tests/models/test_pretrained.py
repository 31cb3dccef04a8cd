"""Saving and loading: the same bits, or an error of one sentence."""

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from smoke_vq import PatchDiscriminator, SmokeVQGAN, SmokeVQVAE

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def reconstruct(pixel_values):
    @torch.no_grad()
    def reconstruct(model) -> torch.Tensor:
        return model.eval()(pixel_values.to(model.dtype)).sample

    return reconstruct


def edit_weights(folder, change) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def edit_config(folder, change) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_reconstructions_are_bit_equal(folder, tiny_model, reconstruct):
    loaded = SmokeVQVAE.from_pretrained(folder)
    assert torch.equal(reconstruct(loaded), reconstruct(tiny_model))
    assert not loaded.training


def test_sharded_reconstructions_are_bit_equal(tmp_path, tiny_model, reconstruct):
    tiny_model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    assert torch.equal(reconstruct(SmokeVQVAE.from_pretrained(tmp_path / "sharded")), reconstruct(tiny_model))


def test_a_variant_is_stored_in_half_precision(tmp_path, tiny_model, reconstruct):
    """diffusers saves the precision of the model, whatever the name of the variant."""
    for variant, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        tiny_model.save_pretrained(tmp_path, variant=variant)
        stored = load_file(tmp_path / f"diffusion_pytorch_model.{variant}.safetensors")
        assert {value.dtype for name, value in stored.items() if not name.startswith("quantizer")} == {dtype}
        assert torch.equal(stored["quantizer.codebook"], tiny_model.quantizer.codebook)
    assert tiny_model.dtype == torch.float32
    tiny_model.decoder.conv_in.weight.data[0, 0, 0, 0] = 1e5
    with pytest.raises(ValueError, match=r"decoder.conv_in.weight is too large for torch.float16"):
        tiny_model.save_pretrained(tmp_path, variant="fp16")


def test_fp16_variant_is_within_its_rounding(tmp_path, folder, tiny_model, reconstruct):
    SmokeVQVAE.from_pretrained(folder, dtype=torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    stored = load_file(tmp_path / "half" / "diffusion_pytorch_model.fp16.safetensors")
    assert stored["encoder.conv_in.weight"].dtype == torch.float16
    loaded = SmokeVQVAE.from_pretrained(tmp_path / "half", variant="fp16")
    for name, parameter in tiny_model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name].float(), parameter, rtol=2**-11, atol=2**-24)
    assert torch.equal(loaded.quantizer.codebook, tiny_model.quantizer.codebook)
    assert (reconstruct(loaded) - reconstruct(tiny_model)).abs().mean() < 0.01


@pytest.mark.parametrize("keyword", ["dtype", "torch_dtype"])
def test_bf16_keeps_the_quantizer_in_float32(folder, tiny_model, keyword, pixel_values):
    model = SmokeVQVAE.from_pretrained(folder, **{keyword: torch.bfloat16})
    assert model.dtype == model.decoder.conv_in.weight.dtype == torch.bfloat16
    assert model.quantizer.codebook.dtype == torch.float32
    assert torch.equal(model.quantizer.codebook, tiny_model.quantizer.codebook)
    output = model(pixel_values.bfloat16())
    assert torch.equal(model.decode_indices(output.indices).sample, output.sample)


def test_loads_from_a_subfolder(tmp_path, folder, tiny_model, reconstruct):
    assert torch.equal(reconstruct(SmokeVQVAE.from_pretrained(tmp_path, subfolder="model")), reconstruct(tiny_model))


def test_latent_statistics_are_saved(tmp_path, tiny_kwargs):
    model = SmokeVQVAE(**tiny_kwargs, latents_mean=[0.5] * 8, latents_std=[2.0] * 8)
    model.save_pretrained(tmp_path)
    config = SmokeVQVAE.from_pretrained(tmp_path).config
    assert (config.latents_mean, config.latents_std) == ([0.5] * 8, [2.0] * 8)
    assert tuple(config.encoder_block_out_channels) == tiny_kwargs["encoder_block_out_channels"]


def test_no_local_path_is_published(tmp_path, folder):
    """`_name_or_path` used to be in the config.json of a model that was loaded and saved again."""
    SmokeVQVAE.from_pretrained(folder).save_pretrained(tmp_path / "again")
    text = (tmp_path / "again" / "config.json").read_text()
    assert str(tmp_path) not in text and "_name_or_path" not in text
    assert text == (folder / "config.json").read_text()


def test_vqgan_round_trip(tmp_path, tiny_kwargs, reconstruct):
    model = SmokeVQGAN(**tiny_kwargs)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["_class_name"] == "SmokeVQGAN"
    loaded = SmokeVQGAN.from_pretrained(tmp_path)
    assert type(loaded) is SmokeVQGAN
    assert torch.equal(reconstruct(loaded), reconstruct(model))


def missing_key(folder):
    edit_weights(folder, lambda weights: weights.pop("decoder.conv_out.weight"))


def missing_codebook(folder):
    edit_weights(folder, lambda weights: weights.pop("quantizer.codebook"))


def unknown_key(folder):
    edit_weights(folder, lambda weights: weights.update(discriminator=torch.zeros(3)))


def wrong_shape(folder):
    edit_weights(folder, lambda weights: weights.update({"quantizer.codebook": torch.zeros(16, 8)}))


def unknown_config_key(folder):
    edit_config(folder, lambda config: config.update(colour="grey"))


def unknown_quantizer(folder):
    edit_config(folder, lambda config: config.update(quantizer_type="fqs"))


def other_class(folder):
    edit_config(folder, lambda config: config.update(_class_name="SmokeVQGAN"))


def truncated(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def emptied(folder):
    (folder / WEIGHTS).write_bytes(b"")


def pickle_only(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "diffusion_pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def no_weights(folder):
    (folder / WEIGHTS).unlink()


def no_config(folder):
    (folder / "config.json").unlink()


def no_json(folder):
    (folder / "config.json").write_text("{")


def no_object(folder):
    (folder / "config.json").write_text("[1]")


def no_class(folder):
    edit_config(folder, lambda config: config.update(_class_name=["SmokeVQVAE"]))


def wrong_type(folder):
    edit_config(folder, lambda config: config.update(latent_channels="8"))


def no_format(folder):
    edit_config(folder, lambda config: config.update(_smoke_vq_format=0))


@pytest.mark.parametrize(
    ("damage", "error", "sentence"),
    [
        (
            missing_key,
            ValueError,
            "do not fit SmokeVQVAE: 1 weight.s. are missing.*'decoder.conv_out.weight'",
        ),
        (
            missing_codebook,
            ValueError,
            "do not fit SmokeVQVAE: 1 weight.s. are missing.*'quantizer.codebook'",
        ),
        (unknown_key, ValueError, "do not fit SmokeVQVAE: 1 weight.s. are unknown.*'discriminator'"),
        (wrong_shape, ValueError, r"do not fit its config.json: .*quantizer.codebook.*\[32, 8\].*\[16, 8\]\)\.$"),
        (unknown_config_key, ValueError, "has the key 'colour', which this smoke_vq .* does not know"),
        (unknown_quantizer, ValueError, "Unknown quantizer 'fqs': expected one of"),
        (other_class, ValueError, "holds a SmokeVQGAN: expected a SmokeVQVAE"),
        (truncated, ValueError, "The weights in .* are damaged"),
        (emptied, ValueError, "The weights in .* are damaged"),
        (
            pickle_only,
            OSError,
            "does not hold diffusion_pytorch_model.safetensors: found .*diffusion_pytorch_model.bin",
        ),
        (no_weights, OSError, "does not hold diffusion_pytorch_model.safetensors: found config.json"),
        (no_config, OSError, f"does not hold config.json: found {WEIGHTS}"),
        (no_json, ValueError, "The config.json of .* is not valid JSON"),
        (no_object, ValueError, "The config.json of .* does not name a model class"),
        (no_class, ValueError, "The config.json of .* does not name a model class"),
        (wrong_type, ValueError, "The config.json of .* does not fit SmokeVQVAE"),
        (no_format, ValueError, "in format 0, but smoke_vq"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_refuses_in_one_sentence(folder, damage, error, sentence):
    damage(folder)
    with pytest.raises(error, match=sentence) as raised:
        SmokeVQVAE.from_pretrained(folder)
    assert "\n" not in str(raised.value).strip()


def test_a_refused_checkpoint_prints_no_advice_of_diffusers(folder, monkeypatch):
    """diffusers printed "You should probably TRAIN this model" before the refusal."""
    missing_key(folder)
    unknown_key(folder)
    printed, logger = [], logging.getLogger("diffusers.models.modeling_utils")
    monkeypatch.setattr(logger, "handle", lambda record: logger.filter(record) and printed.append(record.getMessage()))
    with pytest.raises(ValueError, match="are missing"):
        SmokeVQVAE.from_pretrained(folder)
    assert not [text for text in printed if "weights" in text]
    logger.warning("Some weights of another model")
    assert printed[-1] == "Some weights of another model", "only while a model of this library is loaded"


@pytest.mark.parametrize(("saved", "asked"), [(SmokeVQVAE, SmokeVQGAN), (SmokeVQGAN, SmokeVQVAE)])
def test_refuses_the_checkpoint_of_another_class(tmp_path, tiny_kwargs, saved, asked):
    saved(**tiny_kwargs).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"holds a {saved.__name__}: expected a {asked.__name__}"):
        asked.from_pretrained(tmp_path)


@pytest.mark.parametrize("keyword", ["dtpye", "ignore_mismatched_sizes", "num_vq_embeddings"])
def test_refuses_keywords_that_it_does_not_know(folder, keyword):
    with pytest.raises(ValueError, match=f"unknown keyword '{keyword}': expected some of .*'dtype'"):
        SmokeVQVAE.from_pretrained(folder, **{keyword: torch.float16})


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"dtype": "float16"}, "dtype expects a torch.dtype such as torch.float16, found 'float16'"),
        ({"dtype": torch.float16, "torch_dtype": torch.float16}, "expects dtype or torch_dtype, found both"),
        ({"revision": "v1"}, "is a local folder and has no revision 'v1'"),
        ({"use_safetensors": False}, "Models are loaded from safetensors only"),
        ({"use_flashpack": True}, "Models are loaded from safetensors only"),
        ({"subfolder": "../other"}, "subfolder expects a folder within the repository, found '../other'"),
        ({"subfolder": "/tmp"}, "subfolder expects a folder within the repository, found '/tmp'"),
    ],
)
def test_refuses_values_that_it_would_ignore(folder, keywords, sentence):
    with pytest.raises(ValueError, match=sentence):
        SmokeVQVAE.from_pretrained(folder, **keywords)


@pytest.mark.parametrize("subfolder", [None, "", ".", "./", "model/", "./model", Path("model")])
def test_normalizes_the_name_of_a_subfolder(folder, subfolder):
    where = folder.parent if subfolder and "model" in str(subfolder) else folder
    assert isinstance(SmokeVQVAE.from_pretrained(where, subfolder=subfolder), SmokeVQVAE)


def test_expands_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert isinstance(SmokeVQVAE.from_pretrained("~/model"), SmokeVQVAE)


def test_only_safetensors_are_saved(tmp_path, tiny_model):
    with pytest.raises(ValueError, match="Models are saved as safetensors"):
        tiny_model.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ValueError, match="does not take push_to_hub: to publish, call push_to_hub afterwards"):
        tiny_model.save_pretrained(tmp_path, push_to_hub=True)
    with pytest.raises(ValueError, match="does not take varaint"):
        tiny_model.save_pretrained(tmp_path, varaint="fp16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["no_such_folder", "./no/such/folder", "/no/such/folder"])
def test_refuses_an_absent_folder(where):
    with pytest.raises(OSError, match=f"The folder '{where}' does not exist"):
        SmokeVQVAE.from_pretrained(where)


def test_refuses_a_missing_shard(tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path, max_shard_size="20KB")
    next(iter(tmp_path.glob("*-00002-of-*.safetensors"))).unlink()
    with pytest.raises(OSError, match="00002-of"):
        SmokeVQVAE.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "index.json of .* is not valid JSON"),
        ('{"weight_map": []}', "index.json of .* is damaged: expected a weight_map"),
        (
            '{"weight_map": {"a": "model-00001-of-00002.bin"}}',
            "names model-00001-of-00002.bin: expected",
        ),
        ('{"weight_map": {"a": "../other.safetensors"}}', "names '../other.safetensors': expected files in the same"),
        ('{"weight_map": {"a": "none.safetensors"}}', "does not hold none.safetensors, which its index names"),
    ],
)
def test_refuses_an_invalid_index(tmp_path, tiny_model, text, sentence):
    tiny_model.save_pretrained(tmp_path, max_shard_size="20KB")
    next(iter(tmp_path.glob("*.index.json"))).write_text(text)
    with pytest.raises((ValueError, OSError), match=sentence):
        SmokeVQVAE.from_pretrained(tmp_path)


def test_refuses_an_absent_variant(folder):
    with pytest.raises(OSError, match=r"diffusion_pytorch_model.fp16.safetensors"):
        SmokeVQVAE.from_pretrained(folder, variant="fp16")


def test_a_subfolder_is_loaded_and_not_the_folder_above_it(folder):
    """If both folders hold weights, diffusers loads those of the folder above."""
    saved = PatchDiscriminator(num_layers=1, base_channels=8)
    saved.save_pretrained(folder / "discriminator")
    loaded = PatchDiscriminator.from_pretrained(folder, subfolder="discriminator")
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    with pytest.raises(OSError, match="has no subfolder 'other'"):
        PatchDiscriminator.from_pretrained(folder, subfolder="other")
