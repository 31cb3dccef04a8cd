"""from_pretrained from the Hub: the real client, HTTP, an empty cache; the same bits or one sentence."""

import json
import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from smoke_vq import AutoModel, PatchDiscriminator, SmokeImageProcessor, SmokeVQGAN, SmokeVQVAE

WEIGHTS = "diffusion_pytorch_model.safetensors"
NAME = "user/smoke"


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def saved(tmp_path, tiny_model) -> dict[str, bytes]:
    """The files of a saved model, its processor and a discriminator."""
    folder = tmp_path / "saved"
    tiny_model.save_pretrained(folder)
    SmokeImageProcessor(size=16).save_pretrained(folder)
    PatchDiscriminator(num_layers=1, base_channels=8).save_pretrained(folder / "discriminator")
    return read(folder)


@pytest.fixture
def published(hub, saved):
    hub.put(NAME, saved)
    return hub


@pytest.fixture
def offline(monkeypatch):
    """A function that switches the client's network off."""
    return lambda: monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def as_bytes(model, **kwargs) -> bytes:
    """The file of its weights."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, **kwargs)
        return (Path(folder) / WEIGHTS).read_bytes()


def blob(name: str) -> Path:
    """The file of the cache that holds a file of main."""
    (path,) = Path(constants.HF_HUB_CACHE).glob(f"models--user--smoke/snapshots/*/{name}")
    return path.resolve()


def flip(path: Path, position: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


# What comes back


@pytest.mark.parametrize("loader", [SmokeVQVAE, AutoModel])
def test_the_same_bits_come_back(published, same, loader):
    model = loader.from_pretrained(NAME)
    assert type(model) is SmokeVQVAE and same(model) and not model.training
    assert SmokeImageProcessor.from_pretrained(NAME).size == 16


def test_a_second_load_asks_for_the_commit_and_nothing_else(published):
    SmokeVQVAE.from_pretrained(NAME)
    before = len(published.requests)
    SmokeVQVAE.from_pretrained(NAME)
    assert [(r.method, r.path) for r in published.requests[before:]] == [("HEAD", f"/{NAME}/resolve/main/config.json")]


def test_a_revision_is_pinned(published, saved, same, tiny_kwargs):
    first = published.commits(NAME)[0].sha
    other = SmokeVQVAE(**tiny_kwargs)
    published.put(NAME, {WEIGHTS: as_bytes(other)})
    assert same(SmokeVQVAE.from_pretrained(NAME, revision=first))
    assert not same(SmokeVQVAE.from_pretrained(NAME))
    before = len(published.requests)
    assert same(SmokeVQVAE.from_pretrained(NAME, revision=first))
    assert len(published.requests) == before, "a commit in the cache needs no network"


def test_a_branch_that_moves_while_it_is_loaded_gives_one_commit(published, same, tiny_kwargs):
    """The configuration of one commit and the weights of the next would be a model that nobody trained."""
    fault = published.fault(f"HEAD /{NAME}/resolve/.*{WEIGHTS}", hold=True, times=1)
    loaded = []
    thread = threading.Thread(target=lambda: loaded.append(SmokeVQVAE.from_pretrained(NAME)))
    thread.start()
    fault.wait()
    published.put(NAME, {WEIGHTS: as_bytes(SmokeVQVAE(**tiny_kwargs))})
    fault.release()
    thread.join(30)
    assert same(loaded[0])


def test_a_variant(published, tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path / "half", variant="fp16")
    published.put(NAME, read(tmp_path / "half"))
    model = SmokeVQVAE.from_pretrained(NAME, variant="fp16")
    expected = load_file(tmp_path / "half" / "diffusion_pytorch_model.fp16.safetensors")
    assert expected["encoder.conv_in.weight"].dtype == torch.float16
    assert all(torch.equal(value, expected[name].float()) for name, value in model.state_dict().items())
    assert not any(WEIGHTS in request.path for request in published.requests), "float32 was not asked for"


def test_a_sharded_model(hub, same, tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    hub.put(NAME, read(tmp_path / "shards"))
    assert len([name for name in hub.files(NAME) if name.endswith(".safetensors")]) > 2
    assert same(SmokeVQVAE.from_pretrained(NAME))
    flip(blob("*-00002-of-*.safetensors"))
    with pytest.raises(ValueError, match=r"00002-of-.* of 'user/smoke' is damaged"):
        SmokeVQVAE.from_pretrained(NAME)


def test_the_discriminator_beside_the_model(published, saved, tmp_path):
    model = PatchDiscriminator.from_pretrained(NAME, subfolder="discriminator")
    assert as_bytes(model) == saved[f"discriminator/{WEIGHTS}"]
    assert isinstance(AutoModel.from_pretrained(NAME, subfolder="discriminator"), PatchDiscriminator)


def test_a_private_repository_needs_the_right_token(hub, saved, same, monkeypatch):
    hub.put(NAME, saved, private=True)
    assert same(SmokeVQVAE.from_pretrained(NAME))  # HF_TOKEN is its owner's
    for token, said in (("hf_other", "the token may not read it"), (None, "no token is used")):
        monkeypatch.delenv("HF_TOKEN", raising=False)
        with pytest.raises(OSError, match=f"no model of that name on the Hub; or it is private, and {said}") as raised:
            SmokeVQVAE.from_pretrained(NAME, token=token, force_download=True)
        assert "hf_" not in str(raised.value)
    assert same(SmokeVQVAE.from_pretrained(NAME, token="hf_test"))
    assert not any("authorization" in request.headers for request in hub.requests if request.server == "cdn")


def test_a_token_that_is_none_is_refused_and_not_shown(published):
    with pytest.raises(ValueError, match="token has a line break or another character that none has") as raised:
        SmokeVQVAE.from_pretrained(NAME, token="hf_test\n")
    assert "hf_" not in str(raised.value) and published.requests == []


def test_a_broken_download_goes_on_where_it_broke(published, same, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    fault = published.fault("GET /lfs/", drop_after=5000, times=2)
    assert same(SmokeVQVAE.from_pretrained(NAME))
    assert fault.struck == 2
    ranges = [r.headers.get("Range") for r in published.requests if r.method == "GET" and r.server == "cdn"]
    assert ranges[0] is None and len(ranges) == 3 and all(ranges[1:])


def test_shards_that_arrived_are_not_downloaded_again(hub, same, tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    hub.put(NAME, read(tmp_path / "shards"))
    fault = hub.fault("GET /lfs/.*00003", status=503)
    with pytest.raises(OSError, match=r"The download of 'user/smoke' failed: .*503"):
        SmokeVQVAE.from_pretrained(NAME)
    fault.remove()
    before = len(hub.requests)
    assert same(SmokeVQVAE.from_pretrained(NAME))
    assert not any("00001" in r.path or "00002" in r.path for r in hub.requests[before:] if r.method == "GET")


# A byte that changed


def test_a_byte_flipped_in_transit_is_found(published, same):
    published.fault("GET /lfs/", flip=-1, times=1)
    with pytest.raises(ValueError, match=f"{WEIGHTS} of 'user/smoke' is damaged: its sha256 is .*, the Hub recorded"):
        SmokeVQVAE.from_pretrained(NAME)
    with pytest.raises(ValueError, match="is damaged"):
        SmokeVQVAE.from_pretrained(NAME)  # nor is it taken on the second try
    assert same(SmokeVQVAE.from_pretrained(NAME, force_download=True))


@pytest.mark.parametrize(("name", "kind"), [(WEIGHTS, "sha256"), ("config.json", "git sha1")])
def test_a_byte_flipped_on_the_disk_is_found(published, offline, name, kind):
    SmokeVQVAE.from_pretrained(NAME)
    flip(blob(name))
    offline()
    with pytest.raises(ValueError, match=f"{name} of 'user/smoke' is damaged: its {kind} is .*force_download=True"):
        SmokeVQVAE.from_pretrained(NAME)


def test_what_was_compared_is_remembered_until_the_file_changes(published, monkeypatch):
    from smoke_vq.downloads import checksums

    read, digest = [], checksums.digest
    monkeypatch.setattr(checksums, "digest", lambda path, like: read.append(path.name) or digest(path, like))
    SmokeVQVAE.from_pretrained(NAME)
    assert sorted(read) == ["config.json", WEIGHTS]
    SmokeVQVAE.from_pretrained(NAME)
    assert len(read) == 2
    os.utime(blob(WEIGHTS))
    SmokeVQVAE.from_pretrained(NAME)
    assert read[2:] == [WEIGHTS]
    SmokeVQVAE.from_pretrained(NAME, verify="always")
    assert len(read) == 5


@pytest.mark.parametrize("how", ["keyword", "environment"])
def test_the_comparison_can_be_turned_off(published, how, monkeypatch):
    published.fault("GET /lfs/", flip=-1, times=1)
    if how == "environment":
        monkeypatch.setenv("SMOKE_VQ_VERIFY", "0")
    SmokeVQVAE.from_pretrained(NAME, **({"verify": False} if how == "keyword" else {}))
    monkeypatch.setenv("SMOKE_VQ_VERIFY", "always")
    with pytest.raises(ValueError, match="is damaged"):
        SmokeVQVAE.from_pretrained(NAME)
    monkeypatch.setenv("SMOKE_VQ_VERIFY", "sometimes")
    with pytest.raises(ValueError, match="verify is 'sometimes': expected"):
        SmokeVQVAE.from_pretrained(NAME)


def test_a_cache_that_cannot_be_written_to_is_compared_each_time(published, monkeypatch, same):
    def refuse(*arguments, **keywords):
        raise PermissionError("read-only")

    monkeypatch.setattr("smoke_vq.downloads.checksums.cached_assets_path", refuse)
    assert same(SmokeVQVAE.from_pretrained(NAME)) and same(SmokeVQVAE.from_pretrained(NAME))
    flip(blob(WEIGHTS))
    with pytest.raises(ValueError, match="is damaged"):
        SmokeVQVAE.from_pretrained(NAME)


def test_a_cache_without_symbolic_links_asks_the_hub_for_the_record(published, monkeypatch, same):
    monkeypatch.setattr("huggingface_hub.file_download.are_symlinks_supported", lambda *arguments: False)
    assert same(SmokeVQVAE.from_pretrained(NAME))
    (path,) = Path(constants.HF_HUB_CACHE).glob(f"models--user--smoke/snapshots/*/{WEIGHTS}")
    assert not path.is_symlink()
    flip(path)
    with pytest.raises(ValueError, match=f"{WEIGHTS} of 'user/smoke' is damaged"):
        SmokeVQVAE.from_pretrained(NAME)


def test_a_copied_cache_without_links_and_without_network(published, offline, tmp_path):
    """There is no record to compare with: that is said, and asked for comparison it is refused."""
    SmokeVQVAE.from_pretrained(NAME)
    shutil.copytree(constants.HF_HUB_CACHE, tmp_path / "copy")
    offline()
    with pytest.warns(UserWarning, match="is not compared with the Hub's record, which is not here"):
        SmokeVQVAE.from_pretrained(NAME, cache_dir=tmp_path / "copy")
    with pytest.raises(ValueError, match="cannot be compared: this cache keeps no record"):
        SmokeVQVAE.from_pretrained(NAME, cache_dir=tmp_path / "copy", verify="always")


def test_the_processor_is_compared_too(published, saved):
    name = "preprocessor_config.json"
    first = published.commits(NAME)[0].sha
    assert SmokeImageProcessor.from_pretrained(NAME, do_resize=False).do_resize is False
    published.put(NAME, {name: saved[name].replace(b"16", b"32")})
    assert SmokeImageProcessor.from_pretrained(NAME).size == 32
    assert SmokeImageProcessor.from_pretrained(NAME, revision=first).size == 16
    (path,) = Path(constants.HF_HUB_CACHE).glob(f"models--user--smoke/snapshots/{first}/{name}")
    flip(path.resolve(), 20)
    with pytest.raises(ValueError, match=f"{name} of 'user/smoke' is damaged: its git sha1 is"):
        SmokeImageProcessor.from_pretrained(NAME, revision=first)
    assert SmokeImageProcessor.from_pretrained(NAME, revision=first, force_download=True).size == 16


def test_the_processor_of_a_subfolder(hub, saved, tmp_path):
    hub.put(NAME, {f"vq/{name}": content for name, content in saved.items()})
    assert SmokeImageProcessor.from_pretrained(NAME, subfolder="vq").size == 16
    SmokeImageProcessor(size=24).save_pretrained(tmp_path / "vq")
    assert SmokeImageProcessor.from_pretrained(tmp_path, subfolder="vq").size == 24
    with pytest.raises(ValueError, match="is a folder here and has no revision 'v1'"):
        SmokeImageProcessor.from_pretrained(tmp_path, subfolder="vq", revision="v1")
    with pytest.raises(OSError, match="There is no folder 'runs/no/best'"):
        SmokeImageProcessor.from_pretrained("runs/no/best")


def test_the_server_s_reason_is_told(published):
    """Behind the request's number that the real Hub sends, and that stood alone in the sentence."""
    from huggingface_hub.errors import BadRequestError, HfHubHTTPError

    from smoke_vq.downloads.errors import first_line

    response = type("Response", (), {"headers": {}, "request": None})()
    text = "(Request ID: Root=1)\n\nBad request for commit endpoint:\nlicense must be one of mit"
    assert first_line(BadRequestError(text, response=response)) == "license must be one of mit"
    told = HfHubHTTPError("Client error '413' for url", response=response, server_message="Too large for the plan")
    assert first_line(told) == "Too large for the plan"
    assert first_line(ValueError()) == "ValueError"


def test_a_processor_that_is_not_there(hub, saved, tmp_path):
    put(hub, saved, {}, "preprocessor_config.json")
    with pytest.raises(OSError, match=r"'user/smoke' on the Hub holds no preprocessor_config.json"):
        SmokeImageProcessor.from_pretrained(NAME)
    with pytest.raises(OSError, match=r"The folder .* holds no preprocessor_config.json"):
        SmokeImageProcessor.from_pretrained(tmp_path)


# Without network


def test_offline_loads_from_the_cache(published, same, offline):
    SmokeVQVAE.from_pretrained(NAME)
    before = len(published.requests)
    offline()
    assert same(SmokeVQVAE.from_pretrained(NAME)) and same(SmokeVQVAE.from_pretrained(NAME, revision="main"))
    assert len(published.requests) == before


def test_offline_with_an_empty_cache(published, offline):
    offline()
    with pytest.raises(
        OSError, match=r"'user/smoke' is not whole in the cache \(.*\); nothing is downloaded \(HF_HUB_OFFLINE"
    ):
        SmokeVQVAE.from_pretrained(NAME)


def test_local_files_only_with_half_a_model(published):
    published.fault("GET /lfs/", status=503, times=1)
    with pytest.raises(OSError, match="503"):
        SmokeVQVAE.from_pretrained(NAME)
    with pytest.raises(OSError, match=r"is not whole in the cache .*nothing is downloaded \(local_files_only\)"):
        SmokeVQVAE.from_pretrained(NAME, local_files_only=True)


def test_a_hub_that_does_not_answer(published, same, monkeypatch):
    fault = published.fault("HEAD", drop=True)
    with pytest.raises(OSError) as raised:
        SmokeVQVAE.from_pretrained(NAME)
    assert "user/smoke" in str(raised.value) and "\n" not in str(raised.value)
    fault.remove()
    published.fault("HEAD", status=503, times=100)
    with pytest.raises(OSError, match=r"does not answer: .*503"):
        SmokeVQVAE.from_pretrained(NAME)


def test_a_hub_that_stops_answering_behind_the_config(published):
    """Its weights were taken for missing."""
    published.fault(f"HEAD .*{WEIGHTS}$", status=503)
    with pytest.raises(OSError, match=r"does not answer: .*503"):
        SmokeVQVAE.from_pretrained(NAME)


# Refusals of what lies on the Hub


def put(hub, saved, changes: dict[str, bytes], *without: str) -> None:
    hub.put(NAME, {name: content for name, content in (saved | changes).items() if name not in without})


def changed_config(saved, **changes) -> dict[str, bytes]:
    return {"config.json": json.dumps(json.loads(saved["config.json"]) | changes).encode()}


def test_a_pickle_is_not_opened(hub, saved):
    put(hub, saved, {"diffusion_pytorch_model.bin": b"\x80\x04."}, WEIGHTS)
    with pytest.raises(OSError, match=r"holds only the pickle file diffusion_pytorch_model.bin, which can run code"):
        SmokeVQVAE.from_pretrained(NAME)
    assert not any(".bin" in request.path for request in hub.requests)


def test_no_weights(hub, saved):
    put(hub, saved, {}, WEIGHTS)
    with pytest.raises(OSError, match=f"'user/smoke' on the Hub holds no weights: expected {WEIGHTS}"):
        SmokeVQVAE.from_pretrained(NAME)


def test_no_such_variant(published):
    with pytest.raises(OSError, match=f"holds only {WEIGHTS}: expected diffusion_pytorch_model.fp16.safetensors"):
        SmokeVQVAE.from_pretrained(NAME, variant="fp16")


def test_a_shard_that_the_index_names_is_missing(hub, tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    files = read(tmp_path / "shards")
    name = next(name for name in files if "-00002-of-" in name)
    put(hub, files, {}, name)
    with pytest.raises(OSError, match=rf"index.json of 'user/smoke' names {name}, which is not there"):
        SmokeVQVAE.from_pretrained(NAME)


def test_no_config(hub, saved):
    put(hub, saved, {}, "config.json")
    with pytest.raises(OSError, match=r"'user/smoke' on the Hub holds no config.json: it is no saved model"):
        SmokeVQVAE.from_pretrained(NAME)


def test_another_class(published):
    with pytest.raises(ValueError, match="user/smoke holds a SmokeVQVAE: expected a SmokeVQGAN"):
        SmokeVQGAN.from_pretrained(NAME)


def test_a_class_that_the_library_does_not_have(hub, saved):
    put(hub, saved, changed_config(saved, _class_name="SmokeDiffusion"))
    with pytest.raises(ValueError, match="Unknown model class 'SmokeDiffusion': expected one of"):
        AutoModel.from_pretrained(NAME)


def test_a_config_of_a_later_library(hub, saved):
    put(hub, saved, changed_config(saved, _smoke_vq_format=2, _smoke_vq_version="9.1.0"))
    for loader in (SmokeVQVAE, AutoModel):
        with pytest.raises(ValueError, match=r"was saved by smoke_vq 9.1.0 in format 2: this is smoke_vq .*upgrade"):
            loader.from_pretrained(NAME)


def test_weights_of_another_architecture(hub, saved, tiny_kwargs):
    put(hub, saved, {WEIGHTS: as_bytes(SmokeVQVAE(**tiny_kwargs | {"num_vq_embeddings": 16}))})
    with pytest.raises(ValueError, match=r"user/smoke does not fit its own config.json"):
        SmokeVQVAE.from_pretrained(NAME)


def test_a_misspelt_keyword_is_refused_before_anything_is_asked(published):
    with pytest.raises(ValueError, match="unknown keyword 'revison'"):
        SmokeVQVAE.from_pretrained(NAME, revison="v1")
    assert published.requests == []


@pytest.mark.parametrize(
    ("where", "keywords", "said"),
    [
        ("user/nothing", {}, "There is no folder 'user/nothing', and no model of that name on the Hub"),
        (NAME, {"revision": "v7"}, "'user/smoke' has no revision 'v7' on the Hub"),
        (NAME, {"subfolder": "critic"}, "'user/smoke/critic' on the Hub holds no config.json"),
        ("user/sm oke", {}, "There is no folder 'user/sm oke', and no such name on the Hub"),
        ("smoke", {}, r"There is no folder 'smoke' \(a Hub repository would be named 'user/name'\)"),
    ],
)
def test_names_that_are_wrong(published, where, keywords, said):
    with pytest.raises(OSError, match=said) as raised:
        SmokeVQVAE.from_pretrained(where, **keywords)
    assert "\n" not in str(raised.value)


def test_a_gated_repository(hub, saved, monkeypatch):
    hub.create(NAME, gated=True)
    hub.put(NAME, saved)
    with pytest.raises(OSError, match="'user/smoke' is gated: ask for access"):
        SmokeVQVAE.from_pretrained(NAME, token="hf_other")
