"""push_to_hub of a model in memory, with the real client: one commit or none, without secrets."""

import json
import re
import threading
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from smoke_vq import PatchDiscriminator, SmokeImageProcessor, SmokeVQVAE
from smoke_vq.hub.card import write_card
from smoke_vq.hub.private_texts import check_texts
from smoke_vq.hub.push import matches, open_repo, push_dataset, push_folder
from smoke_vq.hub.staging import stage_model
from smoke_vq.layout import MODEL_FILES

WEIGHTS = "diffusion_pytorch_model.safetensors"
HALF = "diffusion_pytorch_model.fp16.safetensors"
NAME = "user/smoke"
CODE = {"smoke_vq_model.py", "smoke_vq_processor.py", "checksums.sha256"}
FILES = {WEIGHTS, HALF, "config.json", "preprocessor_config.json", "README.md", ".gitattributes", *CODE}


@pytest.fixture
def hub(hub):
    """The Hub; after each test, no file contains a secret and the CDN has not received a token."""
    yield hub
    for repository in hub.repositories.values():
        for head in repository.heads.values():
            for path, blob in head.files.items():
                assert not re.search(rb"hf_(test|other|wrong)|/tmp/", blob.content), path
    assert not any(request.headers["Authorization"] for request in hub.requests if request.server == "cdn")


@pytest.fixture
def other_model(tiny_kwargs):
    torch.manual_seed(7)
    return SmokeVQVAE(**tiny_kwargs).eval()


def refused(kind: type[Exception], message: str, call, *arguments, **keywords) -> str:
    """The message of the error that a call raises; neither it nor its causes show a token."""
    with pytest.raises(kind, match=message) as raised:
        call(*arguments, **keywords)
    error = raised.value
    assert "\n" not in str(error)
    while error is not None:
        assert not re.search(r"hf_(test|other|wrong)", str(error))
        error = error.__cause__ or error.__context__
    return str(raised.value)


def requests_to(hub, pattern: str) -> list:
    return [request for request in hub.requests if re.search(pattern, f"{request.method} {request.path}")]


def front_matter(text: bytes) -> dict:
    return yaml.safe_load(text.decode().split("---")[1])


# Published files


def test_one_commit_has_all_files(hub, tiny_model, same, tmp_path):
    address = tiny_model.push_to_hub(NAME)
    new, initial = hub.commits(NAME)
    assert address == f"{hub.endpoint}/{NAME}/commit/{new.sha}"
    assert (new.message, initial.message) == ("Upload model", "initial commit")
    files = hub.files(NAME)
    assert set(files) == FILES and not hub.repository(NAME).private
    assert "_name_or_path" not in json.loads(files["config.json"])
    card = files["README.md"].decode()
    assert front_matter(files["README.md"])["model_name"] == "SmokeVQVAE" and "model-index" not in front_matter(
        files["README.md"]
    )
    assert "The quality of this model is unknown" in card and f'from_pretrained("{NAME}")' in card
    assert same(SmokeVQVAE.from_pretrained(NAME))
    assert SmokeImageProcessor.from_pretrained(NAME).height == 16
    half = SmokeVQVAE.from_pretrained(NAME, variant="fp16")
    (tmp_path / HALF).write_bytes(files[HALF])
    expected = load_file(tmp_path / HALF)
    assert expected["encoder.conv_in.weight"].dtype == torch.float16
    assert all(torch.equal(value, expected[name].float()) for name, value in half.state_dict().items())
    assert torch.equal(expected["encoder.conv_in.weight"], tiny_model.encoder.conv_in.weight.half())


def test_a_private_push_to_a_public_repository_is_refused(hub, tiny_model):
    hub.create(NAME)
    refused(ValueError, "'user/smoke' privately: it is public", tiny_model.push_to_hub, NAME, private=True)
    assert set(hub.files(NAME)) == {".gitattributes"} and not hub.objects


def test_pushes_to_a_new_branch(hub, tiny_model, other_model, same):
    other_model.push_to_hub(NAME)
    main = hub.commits(NAME)[0]
    for _ in range(2):  # the second time the branch exists
        tiny_model.push_to_hub(NAME, revision="v2")
    assert hub.commits(NAME)[0] is main and hub.commits(NAME, "v2")[0].parent is main
    assert same(SmokeVQVAE.from_pretrained(NAME, revision="v2")) and not same(SmokeVQVAE.from_pretrained(NAME))


@pytest.mark.parametrize("owner", ["user", "other"])
def test_opens_a_pull_request(hub, tiny_model, other_model, same, owner):
    name = f"{owner}/smoke"
    other_model.push_to_hub(name, token={"user": "hf_test", "other": "hf_other"}[owner])
    main = hub.commits(name)[0]
    assert tiny_model.push_to_hub(name, create_pr=True) == f"{hub.endpoint}/{name}/discussions/1"
    assert hub.commits(name)[0] is main and hub.commits(name, "refs/pr/1")[0].parent is main
    assert same(SmokeVQVAE.from_pretrained(name, revision="refs/pr/1")) and not same(SmokeVQVAE.from_pretrained(name))


@pytest.mark.parametrize(("first", "second"), [("20KB", "10GB"), ("10GB", "20KB")])
def test_shards_and_a_single_file_replace_each_other_in_one_commit(hub, tiny_model, other_model, same, first, second):
    """from_pretrained would load the old index or weights if they were left."""
    other_model.push_to_hub(NAME, max_shard_size=first)
    own = {"notes.txt": b"mine", "figures/loss.png": b"mine too", "weights/old.safetensors": b"mine as well"}
    hub.put(NAME, own)
    before = hub.commits(NAME)[0]
    tiny_model.push_to_hub(NAME, max_shard_size=second)
    assert hub.commits(NAME)[0].parent is before
    files = hub.files(NAME)
    shards = [name for name in files if "-of-" in name or "index" in name]
    assert (len(shards) > 4) == (second == "20KB") and (WEIGHTS in files) == (second == "10GB") == (not shards)
    assert len({name.rpartition("-of-")[2] for name in shards if "fp16" not in name and "-of-" in name}) <= 1
    assert {name: files[name] for name in own} == own
    assert same(SmokeVQVAE.from_pretrained(NAME))
    assert SmokeVQVAE.from_pretrained(NAME, variant="fp16").config.num_vq_embeddings == 32


def test_figures_of_a_replaced_model_are_deleted(hub, tiny_model):
    """The old metrics.json does not describe the new weights."""
    older = {
        "metrics.json": b"{}",
        "training.json": b"{}",
        "samples.png": b"",
        ".eval_results/reconstruction.yaml": b"",
    }
    hub.put(NAME, older | {".eval_results/mine.txt": b"mine"})
    tiny_model.push_to_hub(NAME)
    assert set(hub.files(NAME)) == FILES | {".eval_results/mine.txt"}


def test_a_discriminator_is_pushed_beside_the_model(hub, tiny_model, same):
    tiny_model.push_to_hub(NAME)
    before = hub.files(NAME)
    discriminator = PatchDiscriminator(num_layers=1, base_channels=8).eval()
    hub.put(NAME, {f"discriminator/{WEIGHTS}.index.json": b"{}", "discriminator/notes.txt": b"mine"})
    discriminator.push_to_hub(NAME)
    files = hub.files(NAME)
    beside = {"config.json", WEIGHTS, HALF, "smoke_vq_model.py", "checksums.sha256", "notes.txt"}
    assert {name for name in files if name not in before} == {f"discriminator/{name}" for name in beside}
    assert {name: files[name] for name in before} == before and same(SmokeVQVAE.from_pretrained(NAME))
    loaded = PatchDiscriminator.from_pretrained(NAME, subfolder="discriminator").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in discriminator.state_dict().items())


# Refused before anything is sent


@pytest.mark.parametrize(
    ("name", "keywords", "message"),
    [
        ("smoke", {}, "The model repository is 'smoke': expected 'user/name'"),
        ("a/b/c", {}, "The model repository is 'a/b/c': expected 'user/name'"),
        ("user/a b", {}, "'user/a b' has an invalid name"),
        ("user/smoke", {"token": "hf_wrong"}, "Cannot push to 'user/smoke': the Hub does not know the token"),
        ("user/smoke", {"token": "hf_test\n"}, "token contains a line break"),
        ("other/smoke", {}, "Cannot push to 'other/smoke': 403"),
        ("other/hidden", {}, "Cannot push to 'other/hidden': 403"),
        ("other/new", {}, "Cannot push to 'other/new': 403"),
        ("other/new", {"create_pr": True}, "Cannot push to 'other/new': the model does not exist, or the token's user"),
        ("user/smoke", {"token": "hf_other"}, "Cannot push to 'user/smoke': 403"),
        ("other/smoke", {"create_pr": True, "revision": "v2"}, "has its own branch: expected no revision, found 'v2'"),
    ],
)
def test_refused_before_anything_is_sent(hub, tiny_model, name, keywords, message):
    hub.create("other/smoke")
    hub.create("other/hidden", private=True)
    refused(ValueError, message, tiny_model.push_to_hub, name, **keywords)
    assert set(hub.repositories) == {("model", "other/smoke"), ("model", "other/hidden")}
    assert not requests_to(hub, "preupload|commit|PUT") and len(hub.commits("other/smoke")) == 1


def test_refused_without_login(hub, tiny_model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    for keywords in ({}, {"create_pr": True}):
        refused(ValueError, "Cannot push to 'user/smoke': not logged in", tiny_model.push_to_hub, NAME, **keywords)
    assert not hub.requests
    tiny_model.push_to_hub(NAME, token="hf_test")
    assert set(hub.files(NAME)) == FILES


# Pushes that fail


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("PUT /lfs/", {"status": 403}),
        ("PUT /lfs/", {"drop_after": 1000}),
        ("POST .*/preupload/", {"status": 500}),
        ("POST .*/commit/", {"status": 507}),
        ("POST .*/commit/", {"drop": True}),
        ("POST .*/commit/", {"drop_after": 1000}),
    ],
)
def test_a_push_that_fails_changes_nothing(hub, tiny_model, other_model, same, pattern, fault):
    tiny_model.push_to_hub(NAME)
    before = hub.files(NAME)
    broken = hub.fault(pattern, **fault)
    sentence = refused(OSError, "The push to 'user/smoke' failed", other_model.push_to_hub, NAME, max_shard_size="20KB")
    assert "); the repository is unchanged, unless only the response was lost; repeat the command." in sentence
    assert broken.count > 0 and hub.files(NAME) == before and same(SmokeVQVAE.from_pretrained(NAME))
    broken.remove()
    other_model.push_to_hub(NAME, max_shard_size="20KB")
    assert len(hub.commits(NAME)) == 3 and not same(SmokeVQVAE.from_pretrained(NAME))


def test_a_lost_response_is_not_reported_as_a_failed_commit(hub, tiny_model, same):
    hub.fault("POST .*/commit/", lost=True, times=1)
    refused(OSError, "unless only the response was lost", tiny_model.push_to_hub, NAME)
    tiny_model.push_to_hub(NAME)
    assert len(hub.commits(NAME)) == 2 and same(SmokeVQVAE.from_pretrained(NAME))


def test_two_pushes_at_once_are_not_mixed(hub, tiny_model, other_model, same):
    """A push omits unchanged files, so that the second one would combine its weights with the other configuration."""
    other_model.push_to_hub(NAME)
    fault, messages = hub.fault("POST .*/commit/", hold=True, times=1), []
    thread = threading.Thread(
        target=lambda: messages.append(refused(OSError, "412", other_model.push_to_hub, NAME, max_shard_size="20KB"))
    )
    thread.start()
    fault.wait()
    tiny_model.push_to_hub(NAME)
    fault.release()
    thread.join(30)
    assert "412" in messages[0] and len(hub.commits(NAME)) == 3
    assert same(SmokeVQVAE.from_pretrained(NAME))


# Secrets and paths in texts


@pytest.fixture
def staged(tmp_path, tiny_model):
    """A staged folder and a function that writes a text to one of its files."""
    tiny_model.save_pretrained(tmp_path / "model")
    with stage_model(tmp_path / "model") as folder:
        write_card(folder, tiny_model.card_text, NAME)
        yield folder, lambda name, text: (folder / name).write_text(text)


@pytest.mark.parametrize("name", ["README.md", "training.json", "training_arguments.yaml"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("token: hf_test", "contains an access token"),
        ("of somebody else: hf_" + 34 * "x", "contains an access token"),
        (f"runs in {Path.home()}/runs", f"contains the local path {Path.home()}/runs"),
        ("--data=/tmp/smoke", "contains the local path /tmp/smoke"),
        ("data: /scratch/alice/lr=1e-4/plumes", "contains the local path /scratch/alice/lr=1e-4/plumes"),
        ("**/home/alice/x**", "contains the local path /home/alice/x"),
        ("path:/mnt/data/x", "contains the local path /mnt/data/x"),
        ("C:/Users/alice/x", "contains the local path C:/Users/alice/x"),
        ('"C:\\\\Users\\\\alice"', "contains the local path C:"),
        ("file:///home/alice", "contains the local path file:"),
    ],
)
def test_a_token_or_a_local_path_is_not_published(hub, staged, name, text, message):
    folder, put = staged
    open_repo(NAME)
    put(name, text)
    refused(ValueError, f"^{name} {message}", push_folder, folder, NAME)
    assert not requests_to(hub, "preupload|commit|PUT")


@pytest.mark.parametrize(
    "text",
    [
        *("https://example.org/tmp/x", "runs/tmp", "/tmpfs", "half_" + 34 * "x", "hf_auth", "[docs](/docs/hub/index)"),
        *("split ~80/20", "~/.cache/huggingface", "> /dev/null", "https://x.org/login?next=/a/b", "Option A:\\nfoo"),
        *("user/home/x", "/usr/bin/ffmpeg", "and/or", "data/rise64", "n:\\alpha"),
    ],
)
def test_similar_texts_are_published(staged, text):
    folder, put = staged
    put("training.json", text)
    check_texts(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("diffusion_pytorch_model-00001-of-00002.safetensors", True),
        ("discriminator/diffusion_pytorch_model.safetensors.index.json", True),
        (".eval_results/reconstruction.yaml", True),
        (".eval_results/gsm8k.yaml", False),
        ("diffusion_pytorch_model_old/other.safetensors", False),
        ("sub/config.json", False),
    ],
)
def test_only_files_of_a_model_are_deleted(name, is_ours):
    assert matches(name, MODEL_FILES) is is_ours


def test_other_files_in_a_dataset_folder_are_not_published(hub, tmp_path):
    for name in ("README.md", "data/train.parquet", "contact_sheet.png", ".env", "notes.txt", "run.log", "data/x.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    open_repo(NAME, "dataset")
    push_dataset(tmp_path, NAME)
    pushed = set(hub.files(NAME, repo_type="dataset"))
    assert pushed == {".gitattributes", "README.md", "data/train.parquet", "contact_sheet.png"}


def test_a_folder_of_links_is_staged(tmp_path, tiny_model):
    """Such as a snapshot in the cache; links to links used to be broken."""
    tiny_model.save_pretrained(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(Path("..", "blobs", path.name))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/model").symlink_to(tmp_path / "snapshot")
    for folder in (tmp_path / "snapshot", tmp_path / "elsewhere/model"):
        with stage_model(folder) as stage:
            assert len(list(stage.iterdir())) == 4
            assert (stage / "config.json").read_bytes() == (tmp_path / "blobs/config.json").read_bytes()


def test_a_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="does not hold a saved model"), stage_model(tmp_path):
        raise AssertionError("not reached")
    refused(ValueError, "does not hold a prepared dataset", push_dataset, tmp_path, NAME)
