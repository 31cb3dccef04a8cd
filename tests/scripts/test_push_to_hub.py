"""scripts/push_to_hub.py as a user runs it: the folder of a trained model, or a dataset, to a Hub on loopback."""

import json
import os
import re
from pathlib import Path

import datasets
import pytest
import torch
from huggingface_hub import ModelCard
from training_runs import run

from smoke_vq import PatchDiscriminator, SmokeImageProcessor, SmokeVQVAE
from smoke_vq.downloads.checksums import digest

NAME = "user/smoke"
WEIGHTS = "diffusion_pytorch_model.safetensors"
HALF = "diffusion_pytorch_model.fp16.safetensors"
FILES = {
    *(WEIGHTS, HALF, "config.json", "preprocessor_config.json", "README.md", "reconstructions.png", "samples.png"),
    *("metrics.json", "validation.json", "training.json", "training_arguments.yaml"),
    *("smoke_vq_model.py", "smoke_vq_processor.py", "checksums.sha256"),
}


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def best(copied_run):
    """The folder of a finished model; checks that pushes leave no temporary files beside it."""
    folder = copied_run / "best"
    yield folder
    assert not [path.name for path in copied_run.iterdir() if path.name.startswith(".push-") or "partial" in path.name]


@pytest.fixture
def push(hub, best):
    """A function (flags, folder) that runs the script and checks that the folder is unchanged."""

    def push(flags: str = "", folder: Path = best):
        before = read(folder)
        ended = run("push_to_hub.py", f"--folder {folder} --repo-id {NAME} {flags}")
        assert read(folder) == before and "hf_test" not in ended.out + ended.err and "Traceback" not in ended.err
        return ended

    return push


def pushed(hub, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
    """The files of the first commit after the initial one; checks that none contains a local path."""
    assert len(hub.commits(NAME, revision, repo_type)) == 2
    files = hub.files(NAME, revision, repo_type)
    del files[".gitattributes"]
    for name, content in files.items():
        assert not re.search(rb"(?<![\w.])/(tmp|home|root|work)\b|hf_test", content), name
    return files


def same(one: Path | str, other: Path | str, **keywords) -> bool:
    models = [SmokeVQVAE.from_pretrained(where, **keywords).eval() for where in (one, other)]
    values = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        return torch.equal(*(model(values).sample for model in models))


def sent(hub) -> list[str]:
    """Requests that can change the Hub."""
    return [f"{r.method} {r.path}" for r in hub.requests if r.method != "GET" and r.method != "HEAD"]


# A model


def test_one_commit_has_all_files_of_the_model(hub, push, best):
    ended = push()
    assert ended.code == 0, ended.err
    files = pushed(hub)
    assert ended.out.splitlines()[-1] == f"Pushed: {hub.endpoint}/{NAME}/commit/{hub.commits(NAME)[0].sha}"
    assert set(files) == FILES and not hub.repository(NAME).private
    assert {name: files[name] for name in FILES - {"README.md"}} == {
        name: content for name, content in read(best).items() if name != "README.md"
    }
    assert same(NAME, best) and same(NAME, best, variant="fp16")
    assert SmokeImageProcessor.from_pretrained(NAME).height == 16


def test_the_card_names_figures_and_data(hub, push, best):
    push()
    text = pushed(hub)["README.md"].decode()
    assert text.count(f'from_pretrained("{NAME}")') == 2 and "runs/" not in text
    for name in (WEIGHTS, HALF):
        assert f"`{name}`" in text and f"`{digest(best / name)}`" in text
    assert "energy | not measured" in text
    card, facts = ModelCard(text), json.loads((best / "training.json").read_text())
    measured = json.loads((best / "metrics.json").read_text())["this model"]
    results = {result.metric_type: result for result in card.data.eval_results}
    assert {"psnr", "ssim", "masked_mse", "num_codes_used"} <= set(results)
    for name, result in results.items():
        assert result.metric_value == pytest.approx(measured[name], abs=1e-6)
        assert (result.dataset_type, result.dataset_split) == ("blobs", "validation")
        assert result.dataset_revision == facts["validation_frames"]


def test_energy_is_published_and_not_added_to_the_folder(hub, push, best):
    assert push("--energy-kwh 0.5").code == 0
    files = pushed(hub)
    assert "| energy | 0.5 kWh |" in files["README.md"].decode()
    home = json.loads((best / "training.json").read_text())
    assert json.loads(files["training.json"]) == home | {"energy_kwh": 0.5} and home["energy_kwh"] is None


def test_a_dry_run_sends_nothing_and_prints_card_and_files(hub, push, best):
    ended = push("--dry-run --private --energy-kwh 0.5")
    assert ended.code == 0 and hub.requests == [] and hub.repositories == {}
    listed = {name: int(size.replace(",", "")) for size, name in re.findall(r"^ *([\d,]+)  (\S+)$", ended.out, re.M)}
    assert set(listed) == FILES
    assert listed[WEIGHTS] == (best / WEIGHTS).stat().st_size and "model user/smoke, branch main" in ended.out
    card = ended.out.partition("Would push")[0]
    assert len(card.strip()) + 1 == pytest.approx(listed["README.md"], abs=200) and "0.5 kWh" in card


def test_a_missing_variant_is_added(hub, push, best):
    expected = (best / HALF).read_bytes()
    (best / HALF).unlink()
    push()
    files = pushed(hub)
    assert files[HALF] == expected and f"`{HALF}`" in files["README.md"].decode()


def test_a_discriminator_is_published_too(hub, push, best):
    PatchDiscriminator(num_layers=1, base_channels=8).save_pretrained(best / "discriminator")
    (best / "discriminator" / "notes.txt").write_text("of /home/me")
    (best / "draft.txt").write_text("of /home/me")
    push()
    files = pushed(hub)
    assert set(files) - FILES == {
        f"discriminator/{name}" for name in ("config.json", WEIGHTS, "smoke_vq_model.py", "checksums.sha256")
    }
    assert f"discriminator/{WEIGHTS}" in files["README.md"].decode()
    assert PatchDiscriminator.from_pretrained(NAME, subfolder="discriminator").config.num_layers == 1


# Refused before anything is sent


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "flags", "message"),
    [
        (lambda best: truncate(best / WEIGHTS), "", "The weights in .* are damaged"),
        (lambda best: truncate(best / HALF), "", "The weights in .* are damaged"),
        (lambda best: (best / "config.json").unlink(), "", "does not hold a saved model: expected config.json"),
        (lambda best: (best / WEIGHTS).unlink(), "", "does not hold diffusion_pytorch_model.safetensors: found"),
        (lambda best: (best / "training.json").unlink(), "--energy-kwh 1 --dry-run", "has no training.json"),
        (lambda best: None, "--energy-kwh -1", "energy-kwh is -1.0: expected a number above 0"),
        (lambda best: None, "--create-pr --revision v2", "A pull request has its own branch"),
        (lambda best: None, "--create-pr --private", "A pull request is as public as"),
        (lambda best: None, f"--revision {40 * 'a'}", "A push goes to a branch: expected its name, found the commit"),
        (lambda best: None, "--repo-type dataset", "does not hold a prepared dataset"),
        (lambda best: None, "--repo-type dataset --dry-run", "does not hold a prepared dataset"),
        (lambda best: None, "--repo-type dataset --energy-kwh 1", "are for models"),
        (lambda best: None, "--repo-id smoke", "expected 'user/name'"),
        (lambda best: None, "--folder /nowhere", "The folder /nowhere does not exist"),
        (lambda best: None, "--repo-id other/smoke", "Cannot push to 'other/smoke': 403"),
    ],
)
def test_refused_with_one_sentence_and_nothing_sent(hub, push, best, damage, flags, message):
    hub.create("other/smoke")
    damage(best)
    ended = push(flags)
    assert ended.code == 2 and re.search(f"^error: .*{message}", ended.err, re.M), ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert list(hub.repositories) == [("model", "other/smoke")]
    assert set(sent(hub)) <= {"POST /api/repos/create"}
    assert len(hub.commits("other/smoke")) == 1


def test_no_fp16_ignores_a_damaged_variant(hub, push, best):
    truncate(best / HALF)
    assert push("--no-fp16").code == 0 and set(pushed(hub)) == FILES - {HALF}


def test_a_discriminator_alone_or_a_damaged_one_is_refused(hub, push, best):
    discriminator = best / "discriminator"
    PatchDiscriminator(num_layers=1, base_channels=8).save_pretrained(discriminator)
    ended = push(folder=discriminator)
    assert ended.code == 2 and "PatchDiscriminator" in ended.err and len(ended.err.splitlines()) == 1
    truncate(discriminator / WEIGHTS)
    assert re.search("damaged.*discriminator", push().err)
    assert hub.requests == []


def test_a_read_only_folder_is_pushed(hub, push, best, monkeypatch):
    """Such as another user's run on a cluster."""
    access = os.access
    monkeypatch.setattr("os.access", lambda path, mode, **how: path != best.parent and access(path, mode, **how))
    assert push().code == 0 and set(pushed(hub)) == FILES


# A dataset


@pytest.fixture
def dataset(dataset_folder) -> Path:
    splits = [{"split": split, "path": f"data/{split}-*"} for split in ("train", "validation")]
    metadata = json.dumps({"license": "cc0-1.0", "configs": [{"config_name": "default", "data_files": splits}]})
    (dataset_folder / "README.md").write_text(f"---\n{metadata}\n---\n\n# Blobs\n")
    return dataset_folder


def raw(rows: datasets.Dataset) -> list[tuple[bytes, bytes]]:
    for column in ("image", "alpha"):
        rows = rows.cast_column(column, datasets.Image(decode=False))
    return [(row["image"]["bytes"], row["alpha"]["bytes"]) for row in rows]


def test_a_dataset_is_downloaded_bit_for_bit(hub, push, dataset, tmp_path):
    local = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path / "cache"))
    for name in (".clips/a/b.npz", "data/train-00000.parquet.tmp", ".cache/huggingface/x", ".git/config"):
        (dataset / name).parent.mkdir(parents=True, exist_ok=True)
        (dataset / name).write_bytes(b"left over")
    ended = push("--repo-type dataset --private", dataset)
    assert ended.code == 0, ended.err
    expected = {"README.md", *(f"data/{split}-00000-of-00001.parquet" for split in ("train", "validation"))}
    assert set(pushed(hub, repo_type="dataset")) == expected and hub.repository(NAME, "dataset").private
    loaded = datasets.load_dataset(NAME)
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 24, "validation": 10}
    assert all(raw(loaded[split]) == raw(local[split]) for split in local)


def test_a_dataset_replaces_older_shards_in_the_same_commit(hub, push, dataset):
    old = {"data/train-00001-of-00002.parquet": b"old", "data/notes.txt": b"mine"}
    before = hub.put(NAME, old, repo_type="dataset")
    listed = push("--repo-type dataset --dry-run", dataset)
    assert listed.out.count(".parquet") == 2 and "dataset user/smoke" in listed.out and not hub.requests
    assert push("--repo-type dataset --commit-message Plumes", dataset).code == 0
    head = hub.commits(NAME, repo_type="dataset")[0]
    assert head.parent is before and head.message == "Plumes"
    assert "data/train-00001-of-00002.parquet" not in head.files and "data/notes.txt" in head.files


def test_a_failed_push_of_a_dataset_names_the_command(hub, push, dataset):
    hub.fault("POST .*/commit/", status=507, times=1)
    ended = push("--repo-type dataset", dataset)
    command = re.search(r"run `smoke-vq push (.*)`\.", ended.err)
    assert ended.code == 2 and "the repository is unchanged" in ended.err
    assert run("push_to_hub.py", command[1]).code == 0 and len(pushed(hub, repo_type="dataset")) == 3
