"""The text and metadata of model cards, for known and unknown facts."""

import hashlib
import json

import pytest
import torch
import yaml
from diffusers.configuration_utils import register_to_config
from huggingface_hub import ModelCard

from smoke_vq import PatchDiscriminator, PretrainedModel, SmokeVQGAN
from smoke_vq.hub import provenance
from smoke_vq.hub.card import CardText, write_card
from smoke_vq.training.trainer import Result

FIGURES = {
    "masked_mse": 0.02, "background_mse": 0.001, "mse": 0.004, "psnr": 33.21, "ssim": 0.95, "perceptual": 0.12,
    "num_codes_used": 30, "perplexity": 21.5, "num_tokens": 640, "num_frames": 10, "bytes_per_frame": 40.0,
}  # fmt: skip
BICUBIC = {"masked_mse": 0.08, "psnr": 25.0, "ssim": 0.7, "num_frames": 10, "bytes_per_frame": 60.0}


@pytest.fixture
def folder(tmp_path, tiny_kwargs):
    """The folder of a SmokeVQGAN without figures and training facts."""
    folder = tmp_path / "runs/smooth/best"
    SmokeVQGAN(**tiny_kwargs).save_pretrained(folder)
    return folder


def facts(folder, finished: bool = True, recipe: str | None = None, **arguments) -> None:
    """Write training.json and training_arguments.yaml."""
    arguments = {"dataset": ["simulated:tiny"], "validation_split": "validation", **arguments}
    training = provenance.describe_training(
        arguments["dataset"], "train", arguments["validation_split"], init_from=arguments.get("init_from")
    )
    result = Result(folder, 12, 90.0, "10-0123abcd", "an evaluation" if finished else None)
    training |= {} if recipe is None else {"recipe": recipe}
    provenance.write_provenance(folder, training, provenance.public_arguments(arguments), result)


def figures(folder) -> None:
    (folder / "metrics.json").write_text(json.dumps({"this model": FIGURES, "bicubic 8x8": BICUBIC}))


def card(folder, repo_id=None, text: CardText = SmokeVQGAN.card_text) -> tuple[dict, str]:
    """The card's metadata, and its text on one line."""
    write_card(folder, text, repo_id)
    text = (folder / "README.md").read_text()
    assert "{{" not in text and "{%" not in text and "\n\n\n" not in text
    return ModelCard(text).data.to_dict(), " ".join(text.split())


def test_metadata(folder):
    facts(folder)
    figures(folder)
    data, _ = card(folder)
    assert data["license"] == "apache-2.0" and data["library_name"] == "smoke-vq"
    assert data["pipeline_tag"] == "image-to-image" and {"smoke", "vqgan"} <= set(data["tags"])
    assert data["metrics"] == ["mse", "psnr", "ssim"] and "datasets" not in data and "base_model" not in data
    (result,) = data["model-index"][0]["results"]
    name = "simulated plumes (tiny)"
    expected = {"name": name, "type": "simulated:tiny", "split": "validation", "revision": "1.0.0"}
    assert result["dataset"] == expected and result["task"]["type"] == "image-to-image"
    assert {m["type"]: m["value"] for m in result["metrics"]}["psnr"] == 33.21


def test_the_text_explains_the_model(folder):
    facts(folder)
    figures(folder)
    _, text = card(folder, "user/smooth")
    for words in (
        "turns a 16x16 RGB frame of smoke on a black background into 8x8 integers",
        "reach 33.2 dB PSNR and 0.950 SSIM; their squared error on smoke is 0.25 of that of an 8x8 thumbnail",
        "takes 1.5 times the bytes; 30 of 32 codes are in use",
        'SmokeVQGAN.from_pretrained("user/smooth")',
        "## Intended use",
        "## Limits",
        "trained on `simulated plumes (tiny)`, split train, version 1.0.0, licence cc0-1.0",
        "| time | 1.5 minutes |",
        "| energy | not measured |",
        "Taming Transformers",
    ):
        assert words in text, words


def test_several_codes_at_a_position_are_counted(tmp_path, tiny_kwargs):
    """Grouped residual quantizers: 2 groups of 3 levels."""
    kwargs = {"num_groups": 2, "quantizer": "residual", "kwargs": {"depth": 3}}
    folder = tmp_path / "several"
    SmokeVQGAN(**tiny_kwargs, quantizer_type="grouped", quantizer_kwargs=kwargs).save_pretrained(folder)
    facts(folder)
    figures(folder)
    state = torch.get_rng_state()
    _, text = card(folder)
    assert torch.equal(torch.get_rng_state(), state)
    for words in (
        "smoke plumes as 8x8x6 grids of codes",
        "8x8x6 integers, each the index of one of 32 learned codes, with 6 codebooks and a code from each at every",
        "30 of 192 codes are in use",
        "indices = model.encode(inputs.pixel_values).indices # (1, 8, 8, 6), in [0, 32)",
        "1,920 bits per frame",
    ):
        assert words in text, words


class LatentRegression(PretrainedModel):
    """A model that is not an autoencoder."""

    @register_to_config
    def __init__(self, channels: int = 4):
        super().__init__()
        self.linear = torch.nn.Linear(channels, channels)


@pytest.mark.parametrize("known", [True, False])
def test_a_model_that_is_not_an_autoencoder_has_a_card(tmp_path, known):
    """Cards used to require sample_size, encoder_block_out_channels and num_vq_embeddings."""
    LatentRegression().save_pretrained(tmp_path)
    if known:
        facts(tmp_path, recipe="the squared error of latents")
        (tmp_path / "metrics.json").write_text(json.dumps({"this model": {"latent_error": 0.25, "undefined": None}}))
    data, text = card(tmp_path, "user/latents", LatentRegression.card_text)
    assert "# LatentRegression A `LatentRegression`" in text and "| `channels` | `4` |" in text
    assert 'from_pretrained("user/latents")' in text and "smoke plumes as" not in text and "autoencoder" not in text
    assert ("quality of this model is unknown" in text) is not known
    if known:
        assert "Training losses: the squared error of latents." in text
        assert "the whole split `validation` of `simulated plumes (tiny)`, with weights from step 12" in text
        (metric,) = data["model-index"][0]["results"][0]["metrics"]
        assert metric == {"type": "latent_error", "value": 0.25, "name": "latent_error"}


def test_the_checksum_and_precision_of_each_weights_file(folder):
    PatchDiscriminator(num_layers=1, base_channels=8).save_pretrained(folder / "discriminator")
    PatchDiscriminator(num_layers=1, base_channels=8).save_pretrained(folder / "discriminator", variant="fp16")
    _, text = card(folder)
    for path in folder.rglob("*.safetensors"):
        assert (
            f"| {'F16' if 'fp16' in path.name else 'F32'} | `{hashlib.sha256(path.read_bytes()).hexdigest()}`" in text
        )
    assert "`discriminator/diffusion_pytorch_model.safetensors`" in text and "--init-from runs/smooth/best" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "an adversarial loss"}, "Training losses: an adversarial loss."),
        ({"recipe": "an adversarial loss"}, "Adversarial training shifts colours"),
        # The facts of older runs do not name the recipe.
        (
            {"perceptual_weight": 1, "adversarial_weight": 0.5, "disc_start": 4},
            "a perceptual loss, an adversarial loss",
        ),
        ({"perceptual_weight": 1, "adversarial_weight": 0.5, "disc_start": 12}, "a perceptual loss, and the quantizer"),
        ({}, "Training losses: the squared error, and the quantizer's losses."),
        ({"ema_decay": 0}, "of `simulated plumes (tiny)`, with weights from step 12."),
        ({"ema_decay": 0.9}, "of `simulated plumes (tiny)`, with averaged weights from step 12."),
        ({"validation_split": "train"}, "*Top row: frames that the model was trained on."),
        ({}, "*Top row: frames that the model has not seen."),
    ],
)
def test_losses_start_and_weights_of_the_training(folder, changes, words):
    facts(folder, **changes)
    figures(folder)
    (folder / "reconstructions.png").write_bytes(b"")
    assert words in card(folder)[1]


def test_missing_facts_are_called_unknown(folder):
    data, text = card(folder)
    assert "**The quality of this model is unknown:**" in text and "## Data Unknown." in text
    assert "model-index" not in data and "metrics" not in data and "![" not in text and "| command |" not in text


def test_an_unfinished_training_is_in_progress(folder):
    facts(folder, finished=False)
    (folder / "validation.json").write_text(json.dumps({"step": 12, **FIGURES}))
    _, text = card(folder)
    assert "**Training is in progress.** These are the figures of the best model so far, from step 12." in text
    assert "33.21" in text and "| time | 1.5 minutes so far |" in text and "In one sentence" not in text


def test_the_quality_of_a_model_without_validation_is_unknown(folder):
    facts(folder)
    (folder / "validation.json").write_text(json.dumps({"step": 12}))
    assert "**The quality of this model is unknown:**" in card(folder)[1]


def test_a_dataset_of_the_hub_with_its_commit(folder, hub, dataset_folder):
    files = {f"data/{path.name}": path.read_bytes() for path in (dataset_folder / "data").iterdir()}
    commit = hub.put("user/plumes", files, repo_type="dataset")
    facts(folder, dataset=["user/plumes"], init_from="user/older")
    figures(folder)
    data, text = card(folder)
    assert data["datasets"] == ["user/plumes"] and data["base_model"] == "user/older"
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"]["type"] == "user/plumes" and result["dataset"]["revision"] == commit.sha
    entries = yaml.safe_load((folder / ".eval_results/reconstruction.yaml").read_text())
    by_task = {entry["dataset"]["task_id"]: entry for entry in entries}
    assert by_task["psnr"]["value"] == 33.21
    assert by_task["psnr"]["dataset"] == {"id": "user/plumes", "task_id": "psnr", "revision": commit.sha}
    assert "split validation, step 12" in by_task["psnr"]["notes"] and commit.sha in text


def test_local_data_are_named_without_their_path(folder, tmp_path, dataset_folder):
    (dataset_folder / "README.md").write_text("---\nlicense: cc0-1.0\npretty_name: Blobs\n---\n")
    facts(folder, dataset=[str(dataset_folder)], init_from=str(tmp_path), perceptual_weights="/data/vgg16.st")
    figures(folder)
    data, text = card(folder)
    assert "trained on `smoke (Blobs)`, split train, licence cc0-1.0" in text
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"]["type"] == "smoke" and result["dataset"]["revision"] == "10-0123abcd"
    assert not (folder / ".eval_results").exists() and "base_model" not in data
    written = "".join((folder / name).read_text() for name in ("README.md", "training.json", "training_arguments.yaml"))
    assert str(tmp_path) not in written and "/data/vgg16" not in written and "vgg16.st" in written


def test_a_dataset_with_a_readme_that_is_not_a_card(folder, dataset_folder):
    (dataset_folder / "README.md").write_text("---\n{ not: yaml\n---\nMy frames.\n")
    facts(folder, dataset=[str(dataset_folder)])
    assert "trained on `smoke`, split train - measured on" in card(folder)[1]


def test_a_model_that_is_worse_than_a_thumbnail_is_not_praised(folder):
    facts(folder)
    worse = FIGURES | {"masked_mse": 0.12}
    (folder / "metrics.json").write_text(json.dumps({"this model": worse, "bicubic 8x8": BICUBIC}))
    _, text = card(folder)
    assert (
        "**Worse than a thumbnail:** on 10 validation frames the squared error on smoke is 1.50 times that of" in text
    )
    assert "In one sentence" not in text and "The reconstructions do not show what was in the frames" in text
    assert "bits per frame of a well trained model keep the shape" in text
