"""from_pretrained from a Hub on loopback, with the real client: the same bits, or an error of one sentence."""

import shutil
import tempfile
import threading
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from smoke_vq import AutoSmokeModel, PatchDiscriminator, SmokeImageProcessor, SmokeVQVAE
from smoke_vq.downloads.errors import first_line

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
def shards(tmp_path, tiny_model) -> dict[str, bytes]:
    tiny_model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    return read(tmp_path / "shards")


@pytest.fixture
def published(hub, saved):
    hub.put(NAME, saved)
    return hub


@pytest.fixture
def offline(monkeypatch):
    """A function that disables the client's network."""
    return lambda: monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def as_bytes(model) -> bytes:
    """The weights file of a model."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return (Path(folder) / WEIGHTS).read_bytes()


def cached(name: str, commit: str = "*") -> Path:
    (path,) = Path(constants.HF_HUB_CACHE).glob(f"models--user--smoke/snapshots/{commit}/{name}")
    return path


def flip(path: Path, position: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


# Loading


@pytest.mark.parametrize("loader", [SmokeVQVAE, AutoSmokeModel])
def test_loads_the_same_bits(published, same, loader):
    model = loader.from_pretrained(NAME)
    assert type(model) is SmokeVQVAE and same(model) and not model.training
    assert isinstance(loader.from_pretrained(NAME, use_safetensors=True), SmokeVQVAE)


def test_a_second_load_downloads_nothing(published):
    SmokeVQVAE.from_pretrained(NAME)
    before = len(published.requests)
    SmokeVQVAE.from_pretrained(NAME)
    assert not any("resolve" in request.path for request in published.requests[before:])
    assert len(published.requests) - before <= 2


def test_files_of_more_than_the_limit_are_refused_before_the_first_is_downloaded(published, saved, monkeypatch):
    size = len(saved["config.json"]) + len(saved[WEIGHTS])
    monkeypatch.setattr("smoke_vq.downloads.download.MAX_DOWNLOAD_BYTES", size - 1)
    with pytest.raises(
        ValueError, match=f"files of 'user/smoke' on the Hub have {size:,} bytes: expected at most"
    ) as raised:
        SmokeVQVAE.from_pretrained(NAME)
    assert "\n" not in str(raised.value)
    assert not any("resolve" in request.path or "/lfs/" in request.path for request in published.requests)
    monkeypatch.setattr("smoke_vq.downloads.download.MAX_DOWNLOAD_BYTES", size)
    SmokeVQVAE.from_pretrained(NAME)


def test_a_download_that_does_not_fit_on_the_disk_is_refused_before_it_starts(published, monkeypatch):
    real = shutil.disk_usage
    monkeypatch.setattr("smoke_vq.disk_space.shutil.disk_usage", lambda path: real(path)._replace(free=1000))
    with pytest.raises(OSError, match=r"No space left .* for the files of 'user/smoke', found 1\.00kB free$") as raised:
        SmokeVQVAE.from_pretrained(NAME)
    assert "\n" not in str(raised.value)
    assert not any("resolve" in request.path or "/lfs/" in request.path for request in published.requests)
    monkeypatch.setattr("smoke_vq.disk_space.shutil.disk_usage", real)
    SmokeVQVAE.from_pretrained(NAME)
    monkeypatch.setattr("smoke_vq.disk_space.shutil.disk_usage", lambda path: real(path)._replace(free=1000))
    SmokeVQVAE.from_pretrained(NAME)  # from the cache
    with pytest.raises(OSError, match="No space left"):
        SmokeVQVAE.from_pretrained(NAME, force_download=True)


def test_a_revision_is_pinned(published, same, tiny_kwargs):
    first = published.commits(NAME)[0].sha
    published.put(NAME, {WEIGHTS: as_bytes(SmokeVQVAE(**tiny_kwargs))})
    assert same(SmokeVQVAE.from_pretrained(NAME, revision=first))
    assert not same(SmokeVQVAE.from_pretrained(NAME))


def test_all_files_are_of_one_commit_if_the_branch_moves(published, same, tiny_kwargs):
    """The configuration of one commit must not be combined with the weights of another."""
    fault = published.fault(f"HEAD /{NAME}/resolve/.*{WEIGHTS}", hold=True, times=1)
    loaded = []
    thread = threading.Thread(target=lambda: loaded.append(SmokeVQVAE.from_pretrained(NAME)))
    thread.start()
    fault.wait()
    published.put(NAME, {WEIGHTS: as_bytes(SmokeVQVAE(**tiny_kwargs))})
    fault.release()
    thread.join(30)
    assert same(loaded[0])


def test_loads_a_variant(published, tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path / "half", variant="fp16")
    published.put(NAME, read(tmp_path / "half"))
    model = SmokeVQVAE.from_pretrained(NAME, variant="fp16")
    expected = load_file(tmp_path / "half" / "diffusion_pytorch_model.fp16.safetensors")
    assert all(torch.equal(value, expected[name].float()) for name, value in model.state_dict().items())
    assert not any(WEIGHTS in request.path for request in published.requests), "float32 is not downloaded"


def test_loads_a_sharded_model(hub, same, shards):
    hub.put(NAME, shards)
    assert len([name for name in hub.files(NAME) if name.endswith(".safetensors")]) > 2
    assert same(SmokeVQVAE.from_pretrained(NAME))
    flip(cached("*-00002-of-*.safetensors"))
    with pytest.raises(ValueError, match=r"00002-of-.* of 'user/smoke' is damaged"):
        SmokeVQVAE.from_pretrained(NAME)


def test_loads_a_sharded_variant(hub, tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path / "half", variant="fp16", max_shard_size="20KB")
    hub.put(NAME, read(tmp_path / "half"))
    assert SmokeVQVAE.from_pretrained(NAME, variant="fp16").dtype == torch.float32


def test_loads_a_discriminator_from_its_subfolder(published, saved):
    model = PatchDiscriminator.from_pretrained(NAME, subfolder="discriminator")
    assert as_bytes(model) == saved[f"discriminator/{WEIGHTS}"]
    assert not any(request.path.endswith(f"main/{WEIGHTS}") for request in published.requests)


def test_loads_a_processor(published, saved):
    assert SmokeImageProcessor.from_pretrained(NAME).to_dict() == SmokeImageProcessor(size=16).to_dict()
    published.put(NAME, {f"vq/{name}": content for name, content in saved.items()})
    assert isinstance(SmokeImageProcessor.from_pretrained(NAME, subfolder="vq"), SmokeImageProcessor)
    flip(cached("preprocessor_config.json", published.commits(NAME)[1].sha), 20)
    with pytest.raises(ValueError, match=r"preprocessor_config.json of 'user/smoke' is damaged: its git sha1 is"):
        SmokeImageProcessor.from_pretrained(NAME, revision=published.commits(NAME)[1].sha)


# Tokens


def test_a_private_repository_needs_the_right_token(hub, saved, same, monkeypatch):
    hub.put(NAME, saved, private=True)
    assert same(SmokeVQVAE.from_pretrained(NAME))  # with HF_TOKEN of the owner
    monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{constants.HF_HUB_CACHE}-other")
    for token, reason in (("hf_other", "the token may not read it"), (None, "no token is used")):
        monkeypatch.delenv("HF_TOKEN", raising=False)
        with pytest.raises(OSError, match=f"nor a model on the Hub; or it is private, and {reason}") as raised:
            SmokeVQVAE.from_pretrained(NAME, token=token)
        assert "hf_" not in str(raised.value)
    assert same(SmokeVQVAE.from_pretrained(NAME, token="hf_test"))
    assert not any("authorization" in request.headers for request in hub.requests if request.server == "cdn")


def test_an_invalid_token_is_refused_and_not_shown(published):
    with pytest.raises(ValueError, match="token contains a line break or another invalid character") as raised:
        SmokeVQVAE.from_pretrained(NAME, token="hf_test\n")
    assert "hf_" not in str(raised.value) and published.requests == []


# Damaged files


def test_a_byte_flipped_in_transit_is_found_at_the_first_load(published, same):
    published.fault("GET /lfs/", flip=-1, times=1)
    for _ in range(2):  # the damaged file stays in the cache and is refused again
        with pytest.raises(
            ValueError, match=f"{WEIGHTS} of 'user/smoke' is damaged: its sha256 is .*, the Hub recorded"
        ):
            SmokeVQVAE.from_pretrained(NAME)
    assert isinstance(SmokeVQVAE.from_pretrained(NAME, verify=False), SmokeVQVAE)
    assert same(SmokeVQVAE.from_pretrained(NAME, force_download=True))


@pytest.mark.parametrize(("name", "kind"), [(WEIGHTS, "sha256"), ("config.json", "git sha1")])
def test_a_byte_flipped_on_the_disk_is_found_without_a_network(published, offline, name, kind):
    SmokeVQVAE.from_pretrained(NAME)
    flip(cached(name))
    offline()
    with pytest.raises(ValueError, match=f"{name} of 'user/smoke' is damaged: its {kind} is .*force_download=True"):
        SmokeVQVAE.from_pretrained(NAME)


def test_a_cache_without_symbolic_links_is_compared_with_the_hub(published, monkeypatch, same):
    monkeypatch.setattr("huggingface_hub.file_download.are_symlinks_supported", lambda *arguments: False)
    assert same(SmokeVQVAE.from_pretrained(NAME))
    assert not cached(WEIGHTS).is_symlink()
    flip(cached(WEIGHTS))
    with pytest.raises(ValueError, match=f"{WEIGHTS} of 'user/smoke' is damaged"):
        SmokeVQVAE.from_pretrained(NAME)


# Without a network


def test_a_cache_without_symbolic_links_is_loaded_offline_with_a_warning(published, monkeypatch, same, offline):
    monkeypatch.setattr("huggingface_hub.file_download.are_symlinks_supported", lambda *arguments: False)
    SmokeVQVAE.from_pretrained(NAME)
    offline()
    with pytest.warns(UserWarning, match=r"of 'user/smoke' is loaded without verification: this cache has no symbolic"):
        assert same(SmokeVQVAE.from_pretrained(NAME))


def test_offline_loads_from_the_cache(published, same, offline):
    SmokeVQVAE.from_pretrained(NAME)
    before = len(published.requests)
    offline()
    assert same(SmokeVQVAE.from_pretrained(NAME)) and same(SmokeVQVAE.from_pretrained(NAME, revision="main"))
    assert len(published.requests) == before


def test_an_empty_cache_is_reported_offline(published, offline):
    offline()
    with pytest.raises(OSError, match=r"'user/smoke' is not a local folder and is incomplete in the cache .*OFFLINE"):
        SmokeVQVAE.from_pretrained(NAME)


def test_an_incomplete_cache_is_reported_with_local_files_only(published):
    published.fault("GET /lfs/", status=503, times=1)
    with pytest.raises(OSError, match="503"):
        SmokeVQVAE.from_pretrained(NAME)
    for tree in (True, False):  # older versions of huggingface_hub do not store the list of files
        with pytest.raises(OSError, match=r"is incomplete in the cache .*nothing is downloaded \(local_files_only\)"):
            SmokeVQVAE.from_pretrained(NAME, local_files_only=True)
        if tree:
            shutil.rmtree(Path(constants.HF_HUB_CACHE, "models--user--smoke", "trees"), ignore_errors=True)


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}])
@pytest.mark.parametrize("request_", ["GET", f"HEAD .*{WEIGHTS}$"])
def test_a_hub_that_does_not_answer_is_reported(published, fault, request_):
    published.fault(request_, **fault)
    with pytest.raises(OSError, match=r"user/smoke.*(does not answer|failed): ") as raised:
        SmokeVQVAE.from_pretrained(NAME)
    assert "\n" not in str(raised.value)


def test_the_message_of_the_server_is_shown():
    """It used to be hidden by the request ID that the Hub sends."""
    from huggingface_hub.errors import BadRequestError, HfHubHTTPError

    response = type("Response", (), {"headers": {}, "request": None})()
    text = "(Request ID: Root=1)\n\nBad request for commit endpoint:\nlicense must be one of mit"
    assert first_line(BadRequestError(text, response=response)) == "license must be one of mit"
    error = HfHubHTTPError("Client error '413' for url", response=response, server_message="Too large for the plan")
    assert first_line(error) == "Too large for the plan"
    assert first_line(ValueError()) == "ValueError"


# What is refused


def test_a_pickle_is_not_opened(hub, saved):
    hub.put(NAME, {"config.json": saved["config.json"], "diffusion_pytorch_model.bin": b"\x80\x04."})
    with pytest.raises(
        OSError, match=r"does not hold diffusion_pytorch_model\*.safetensors: found .*diffusion_pytorch_model.bin"
    ):
        SmokeVQVAE.from_pretrained(NAME)
    assert not any(".bin" in request.path for request in hub.requests)


@pytest.mark.parametrize(
    ("lacks", "keywords", "sentence"),
    [
        (WEIGHTS, {}, r"does not hold diffusion_pytorch_model\*.safetensors: found .gitattributes, config.json"),
        (None, {"variant": "fp16"}, rf"does not hold diffusion_pytorch_model\*.fp16\*.safetensors: found .*{WEIGHTS}"),
        ("config.json", {}, r"'user/smoke' on the Hub does not hold config.json: found"),
        (None, {"subfolder": "other"}, "'user/smoke/other' on the Hub does not hold config.json: found no files"),
    ],
)
def test_missing_files_are_named(hub, saved, lacks, keywords, sentence):
    hub.put(NAME, {name: content for name, content in saved.items() if name != lacks})
    with pytest.raises(FileNotFoundError, match=sentence):
        SmokeVQVAE.from_pretrained(NAME, **keywords)


def test_a_missing_shard_is_named(hub, shards):
    hub.put(NAME, {name: content for name, content in shards.items() if "-00002-of-" not in name})
    with pytest.raises(OSError, match=r"-00002-of-"):
        SmokeVQVAE.from_pretrained(NAME)


@pytest.mark.parametrize(
    ("where", "keywords", "sentence"),
    [
        ("user/nothing", {}, "'user/nothing' is neither a local folder nor a model on the Hub"),
        (NAME, {"revision": "v7"}, "'user/smoke' has no revision 'v7' on the Hub"),
        ("user/sm oke", {}, "'user/sm oke' is neither a local folder nor a valid name on the Hub"),
        ("smoke", {}, r"The folder 'smoke' does not exist \(a Hub repository would be named 'user/name'\)"),
    ],
)
def test_invalid_names_are_refused(published, where, keywords, sentence):
    with pytest.raises(OSError, match=sentence) as raised:
        SmokeVQVAE.from_pretrained(where, **keywords)
    assert "\n" not in str(raised.value)


def test_a_gated_repository_is_reported(hub, saved):
    hub.create(NAME, gated=True)
    hub.put(NAME, saved)
    with pytest.raises(OSError, match="'user/smoke' is gated: ask for access"):
        SmokeVQVAE.from_pretrained(NAME, token="hf_other")
