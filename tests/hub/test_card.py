"""The card: what is known of a model, in words and as metadata, and nothing that is not known."""

import hashlib
import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard

from smoke_vq import PatchDiscriminator, SmokeVQGAN
from smoke_vq.hub.card import write_card
from smoke_vq.hub.provenance import describe_data, describe_training, public_name, write_provenance
from smoke_vq.training import VQGANArguments
from smoke_vq.training.trainer import Result

FIGURES = {
    "masked_mse": 0.02, "background_mse": 0.001, "mse": 0.004, "psnr": 33.21, "ssim": 0.95, "perceptual": 0.12,
    "num_codes_used": 30, "perplexity": 21.5, "num_tokens": 640, "num_frames": 10, "bytes_per_frame": 40.0,
}  # fmt: skip
BICUBIC = {"masked_mse": 0.08, "psnr": 25.0, "ssim": 0.7, "num_frames": 10, "bytes_per_frame": 60.0}


@pytest.fixture
def folder(tmp_path, tiny_kwargs):
    """A SmokeVQGAN's folder without figures and facts."""
    folder = tmp_path / "runs/smooth/best"
    SmokeVQGAN(**tiny_kwargs).save_pretrained(folder)
    return folder


def facts(folder, **changes) -> None:
    arguments = VQGANArguments(**{"dataset": "simulated:tiny", **changes})
    training(folder, arguments, step=12, seconds=90.0, evaluation="whatever it is")


def training(folder, arguments, step: int, seconds: float, evaluation) -> None:
    result = Result(folder, step, seconds, "10-0123abcd", evaluation)
    write_provenance(folder, describe_training(arguments, 1), arguments, result)


def figures(folder) -> None:
    (folder / "metrics.json").write_text(json.dumps({"this model": FIGURES, "bicubic 8x8": BICUBIC}))


def card(folder, repo_id=None) -> tuple[dict, str]:
    """Its metadata and its text, on one line."""
    write_card(folder, repo_id)
    text = (folder / "README.md").read_text()
    assert "{{" not in text and "{%" not in text and "None" not in text
    return ModelCard(text).data.to_dict(), " ".join(text.split())


def test_the_metadata(folder):
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


def test_someone_who_knows_nothing_is_told(folder):
    facts(folder)
    figures(folder)
    _, text = card(folder, "user/smooth")
    for words in (
        "turns a 16x16 RGB frame of smoke on black into 8x8 whole numbers",
        "reach 33.2 dB PSNR and 0.950 SSIM; their squared error on smoke is 0.25 of that of an 8x8 thumbnail",
        "takes 1.5 times the bytes; 30 of 32 codes are in use",
        'SmokeVQGAN.from_pretrained("user/smooth")',
        "## What it is for, and what not",
        "## Limits",
        "trained on `simulated plumes (tiny)`, split train, version 1.0.0, licence cc0-1.0",
        "| time | 1.5 minutes |",
        "| energy | not measured |",
    ):
        assert words in text, words


def test_the_sha256_of_each_weights_file(folder):
    PatchDiscriminator(num_layers=1, base_channels=8).save_pretrained(folder / "discriminator")
    _, text = card(folder)
    for path in folder.rglob("*.safetensors"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert "`discriminator/diffusion_pytorch_model.safetensors`" in text and "--init-from runs/smooth/best" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"disc_start": 4}, "It learned from a perceptual and an adversarial loss beside the squared error"),
        ({"disc_start": 12}, "It learned from a perceptual loss beside the squared error"),
        ({"disc_start": 4, "perceptual_weight": 0}, "It learned from an adversarial loss beside the squared error"),
        ({"adversarial_weight": 0, "perceptual_weight": 0}, "It learned from the squared error alone"),
        ({"ema_decay": 0}, "of `simulated plumes (tiny)`, with weights from step 12."),
        ({"ema_decay": 0.9}, "of `simulated plumes (tiny)`, with averaged weights from step 12."),
        ({"validation_split": "train"}, "*Top row: frames that the model learned from."),
        ({}, "*Top row: frames that the model never saw."),
    ],
)
def test_the_recipe_is_told_as_it_was(folder, changes, words):
    facts(folder, **changes)
    figures(folder)
    (folder / "reconstructions.png").write_bytes(b"")
    assert words in card(folder)[1]


def test_what_is_not_known_is_said_not_to_be(folder):
    data, text = card(folder)
    assert "**Nothing is known of this model's quality:**" in text and "## Data Not known." in text
    assert "model-index" not in data and "metrics" not in data and "![" not in text and "| command |" not in text


def test_a_training_under_way(folder):
    arguments = VQGANArguments(dataset="simulated:tiny")
    training(folder, arguments, step=8, seconds=30, evaluation=None)
    (folder / "validation.json").write_text(json.dumps({"step": 8, **FIGURES}))
    _, text = card(folder)
    assert "**Training is under way.** This is the best model so far, from step 8: 33.2 dB PSNR" in text
    assert "| time | 0.5 minutes so far |" in text


def test_a_dataset_of_the_hub_with_its_commit(folder, hub, dataset_folder):
    files = {f"data/{path.name}": path.read_bytes() for path in (dataset_folder / "data").iterdir()}
    commit = hub.put("user/plumes", files, repo_type="dataset")
    facts(folder, dataset="user/plumes", init_from="user/older")
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


def test_local_data_are_named_and_not_located(folder, tmp_path, dataset_folder):
    (dataset_folder / "README.md").write_text("---\nlicense: cc0-1.0\npretty_name: Blobs\n---\n")
    facts(folder, dataset=str(dataset_folder), init_from=str(tmp_path / "runs"), perceptual_weights="/data/vgg16.st")
    figures(folder)
    data, text = card(folder)
    assert "trained on `smoke (Blobs)`, split train, licence cc0-1.0" in text
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"]["type"] == "smoke" and result["dataset"]["revision"] == "10-0123abcd"
    assert not (folder / ".eval_results").exists() and "base_model" not in data
    written = "".join((folder / name).read_text() for name in ("README.md", "training.json", "training_arguments.yaml"))
    assert str(tmp_path) not in written and "/data/vgg16" not in written and "vgg16.st" in written


def test_a_readme_that_is_no_card_is_no_obstacle(folder, dataset_folder):
    (dataset_folder / "README.md").write_text("---\n{ not: yaml\n---\nMy frames.\n")
    facts(folder, dataset=str(dataset_folder))
    assert "trained on `smoke`, split train - measured on" in card(folder)[1]


@pytest.mark.parametrize(
    ("source", "name"),
    [("user/plumes", "user/plumes"), ("simulated", "simulated"), ("simulated:small", "simulated:small")],
)
def test_names_that_travel_as_they_are(source, name):
    assert public_name(source) == name


def test_paths_travel_by_their_last_part(tmp_path, monkeypatch):
    (tmp_path / "a/simulated").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    assert public_name(str(tmp_path / "a")) == public_name(".") == public_name("../a") == "a"
    assert public_name("./simulated") == "./simulated"
    assert public_name("~/nowhere/smoke") == public_name("/nowhere/smoke") == "smoke"
    assert describe_data(".", "train")["on_hub"] is False


def test_the_commit_is_that_of_the_library(folder):
    facts(folder)
    written = json.loads((folder / "training.json").read_text())
    assert written["commit"] is None or re.fullmatch(r"[0-9a-f]{40}", written["commit"])


def test_outside_its_repository_the_commit_is_unknown(folder, tmp_path, monkeypatch):
    from smoke_vq.hub import provenance

    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "site/smoke_vq/hub/provenance.py"))
    (tmp_path / "site/smoke_vq/hub").mkdir(parents=True)
    assert provenance.commit() == {"commit": None, "modified": None}
    facts(folder)
    assert "commit unknown" in card(folder)[1]


def test_the_command_names_no_folder(monkeypatch):
    from smoke_vq.hub.provenance import command

    words = [
        "/home/me/scripts/train.py",
        "--dataset",
        "/data/smoke",
        "../../home/alice/plumes",
        "~/wisps",
        "data/rise64",
    ]
    words += ["--output-dir=/home/me/runs", "--init-from", "/scratch/alice/lr=1e-4/best", "--lr", "1e-3"]
    words += ["file:///home/alice/a", "C:\\Users\\alice\\b", "C:/Users/alice/c", "x=/home/alice/d"]
    monkeypatch.setattr("sys.argv", words)
    assert command() == (
        "accelerate launch scripts/train.py --dataset smoke plumes wisps data/rise64 --output-dir=runs "
        "--init-from best --lr 1e-3 a b c x=d"
    )
