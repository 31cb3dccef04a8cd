"""The Hub on loopback, asked by the real client as the real Hub is."""

import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import datasets
import pytest
from huggingface_hub import HfApi, HfFileSystem, hf_api, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from loopback_hub import LoopbackHub

WEIGHTS = bytes(range(256)) * 400
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "deep/er/a b.txt": b"text", "README.md": b"---\n---\n"}


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "folder", FILES)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def read(folder: str) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def asked(hub, start: str) -> list:
    return [request for request in hub.requests if f"{request.method} {request.path}".startswith(start)]


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_a_folder_comes_back_as_it_went_up(hub, folder, repo_type):
    api = HfApi()
    assert api.whoami()["name"] == "user"
    url = api.create_repo("user/smoke", repo_type=repo_type)
    assert url == api.create_repo("user/smoke", repo_type=repo_type, exist_ok=True) and url.repo_id == "user/smoke"
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("user/smoke", repo_type=repo_type)
    commit = api.upload_folder(repo_id="user/smoke", folder_path=folder, repo_type=repo_type, commit_message="All")
    files = hub.files("user/smoke", repo_type=repo_type)
    assert files == FILES | {".gitattributes": files[".gitattributes"]}
    assert [commit.oid, "initial commit"] == [
        hub.commits("user/smoke", repo_type=repo_type)[0].sha,
        hub.commits("user/smoke", repo_type=repo_type)[1].message,
    ]
    assert hub.repository("user/smoke", repo_type).find("main").files["model.safetensors"].lfs
    info = api.repo_info("user/smoke", repo_type=repo_type, files_metadata=True)
    assert info.sha == commit.oid and not info.private
    assert {file.rfilename: file.size for file in info.siblings} == {name: len(files[name]) for name in files}
    assert read(snapshot_download("user/smoke", repo_type=repo_type)) == files
    assert Path(hf_hub_download("user/smoke", "model.safetensors", repo_type=repo_type)).read_bytes() == WEIGHTS
    before = len(hub.commits("user/smoke", repo_type=repo_type))
    api.upload_folder(repo_id="user/smoke", folder_path=folder, repo_type=repo_type)
    assert len(hub.commits("user/smoke", repo_type=repo_type)) == before and len(asked(hub, "PUT")) == 1
    api.delete_repo("user/smoke", repo_type=repo_type)
    assert not api.repo_exists("user/smoke", repo_type=repo_type)


def test_listings_are_those_of_git(hub):
    commit = hub.put("user/smoke", FILES)
    api = HfApi()
    root = {item.path: item for item in api.list_repo_tree("user/smoke", expand=True)}
    assert sorted(root) == [".gitattributes", "README.md", "config.json", "deep", "model.safetensors"]
    assert root["config.json"].last_commit.oid == commit.sha != root[".gitattributes"].last_commit.oid
    # `printf {} | git hash-object --stdin`
    assert root["config.json"].blob_id == "9e26dfeeb6e641a33dae4961196235bdb965b21b"
    assert root["model.safetensors"].lfs.size == len(WEIGHTS)
    assert [item.path for item in api.list_repo_tree("user/smoke", "deep", recursive=True)] == [
        "deep/er",
        "deep/er/a b.txt",
    ]
    found = api.get_paths_info("user/smoke", ["deep", "README.md", "absent"])
    assert sorted(item.path for item in found) == ["README.md", "deep"]
    assert HfFileSystem().read_bytes("user/smoke/deep/er/a b.txt") == b"text"
    assert HfFileSystem().read_bytes("user/smoke/model.safetensors", start=5, end=9) == WEIGHTS[5:9]
    assert api.file_exists("user/smoke", "README.md") and not api.file_exists("user/smoke", "absent")


def test_a_revision_is_a_branch_a_tag_a_commit_or_a_pull_request(hub, folder):
    first = hub.put("user/smoke", {"a.txt": b"one"})
    api = HfApi()
    api.create_tag("user/smoke", tag="v1")
    api.create_branch("user/smoke", branch="some/work", revision="v1")
    api.upload_file(repo_id="user/smoke", path_or_fileobj=b"two", path_in_repo="a.txt", revision="some/work")
    proposal = api.upload_file(repo_id="user/smoke", path_or_fileobj=b"3", path_in_repo="a.txt", create_pr=True)
    assert proposal.pr_revision == "refs/pr/1"
    hub.put("user/smoke", {"a.txt": b"four"})
    expected = {"v1": b"one", first.sha: b"one", "some/work": b"two", "refs/pr/1": b"3", "main": b"four"}
    for revision, content in expected.items():
        assert Path(hf_hub_download("user/smoke", "a.txt", revision=revision)).read_bytes() == content
        assert hub.files("user/smoke", revision)["a.txt"] == content
    refs = api.list_repo_refs("user/smoke", include_pull_requests=True)
    assert {ref.name for ref in refs.branches} == {"main", "some/work"}
    assert [ref.name for ref in refs.tags] == ["v1"] and refs.pull_requests[0].ref == "refs/pr/1"
    assert [c.title for c in api.list_repo_commits("user/smoke")] == ["Put files", "Put files", "initial commit"]
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("user/smoke", "a.txt", revision="v2")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("user/smoke", "b.txt")


def test_who_may_read_and_who_may_write(hub):
    hub.put("user/secret", FILES, private=True)
    hub.put("other/public", FILES)
    hub.create("other/gated", gated=True)
    assert hf_hub_download("user/secret", "config.json")
    for token, status in (("hf_other", 404), (False, 401)):
        with pytest.raises(RepositoryNotFoundError) as refusal:
            hf_hub_download("user/secret", "model.safetensors", token=token)
        assert refusal.value.response.status_code == status
        assert hf_hub_download("other/public", "config.json", token=token)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        HfApi(token="hf_wrong").model_info("other/public")
    with pytest.raises(GatedRepoError):
        hf_hub_download("other/gated", ".gitattributes")
    upload = partial(HfApi().upload_file, path_or_fileobj=b"mine", path_in_repo="a.bin", repo_id="other/public")
    for refused in (
        upload,
        partial(upload, token=False),
        lambda: HfApi().auth_check("other/public", write=True),
        lambda: HfApi().create_repo("other/new"),
    ):
        with pytest.raises(HfHubHTTPError):
            refused()
    assert "a.bin" not in hub.files("other/public") and ("model", "other/new") not in hub.repositories
    HfApi().auth_check("user/secret", write=True)
    assert hub.files("other/public", upload(create_pr=True).pr_revision)["a.bin"] == b"mine"


def test_one_commit_deletes_and_adds_or_does_nothing(hub, folder):
    old = {"data/train-0.parquet": b"old", "data/train-1.parquet": b"old", "data/notes.txt": b"kept"}
    before = hub.put("user/smoke", old, repo_type="dataset")
    files = hub.files("user/smoke", repo_type="dataset")
    new = write(folder / "new", {"data/train-0.parquet": b"new"})
    upload = partial(HfApi().upload_folder, repo_id="user/smoke", repo_type="dataset", folder_path=new)
    upload = partial(upload, delete_patterns="data/*.parquet")
    fault = hub.fault("POST .*/commit/", status=507)
    with pytest.raises(HfHubHTTPError, match="507"):
        upload()
    fault.remove()
    with pytest.raises(HfHubHTTPError, match="412"):
        upload(parent_commit="0" * 40)
    assert fault.struck == 1 and hub.files("user/smoke", repo_type="dataset") == files
    assert hub.commits("user/smoke", repo_type="dataset")[0] is before
    upload(parent_commit=before.sha)
    expected = {"data/train-0.parquet": b"new", "data/notes.txt": b"kept", ".gitattributes": files[".gitattributes"]}
    assert hub.files("user/smoke", repo_type="dataset") == expected
    assert len(asked(hub, "PUT /lfs/")) == 1


def test_an_answer_that_is_lost_comes_after_the_commit(hub):
    hub.put("user/smoke", FILES)
    hub.fault("POST .*/commit/", lost=True, times=1)
    with pytest.raises(Exception, match=r"[Dd]isconnect|[Rr]eset"):
        HfApi().upload_file(repo_id="user/smoke", path_or_fileobj=b"two", path_in_repo="a.txt")
    assert hub.files("user/smoke")["a.txt"] == b"two"


def test_an_upload_is_tried_again_and_never_stored_in_part(hub):
    hub.create("user/smoke")
    faults = [
        hub.fault("POST .*/preupload/", drop=True, times=1),
        hub.fault("PUT /lfs/", drop_after=1000, times=1),
        hub.fault("PUT /lfs/", status=503, times=1),
    ]
    HfApi().upload_file(repo_id="user/smoke", path_or_fileobj=WEIGHTS, path_in_repo="model.safetensors")
    assert [fault.struck for fault in faults] == [1, 1, 1] and len(asked(hub, "PUT")) == 3
    assert list(hub.objects.values()) == [WEIGHTS] and hub.files("user/smoke")["model.safetensors"] == WEIGHTS


def test_a_dropped_download_is_resumed_and_the_token_stays_on_the_hub(hub, monkeypatch):
    # The client goes on after the last whole chunk that it has, and its chunks have 10 MB.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.put("user/smoke", FILES, private=True)
    fault = hub.fault("GET /lfs/.*safetensors", drop_after=50_500, times=1)
    assert Path(hf_hub_download("user/smoke", "model.safetensors")).read_bytes() == WEIGHTS
    first, second = asked(hub, "GET /lfs/")
    assert fault.struck == 1 and "Range" not in first.headers and second.headers["Range"] == "bytes=50000-"
    assert {request.server for request in hub.requests} == {"hub", "cdn"}
    for request in hub.requests:
        assert ("hf_test" in str(request.headers)) == (request.server == "hub" and "agent" not in request.path)


def test_what_is_damaged_on_the_way_is_found(hub):
    hub.put("user/smoke", FILES)
    hub.fault("GET /lfs/", truncate=1000, times=1)
    with pytest.raises(OSError, match="Consistency check failed"):
        hf_hub_download("user/smoke", "model.safetensors")
    hub.fault("GET /lfs/", flip=70_000, times=1)
    damaged = snapshot_download("user/smoke")
    assert [byte for byte, true in zip(read(damaged)["model.safetensors"], WEIGHTS, strict=True) if byte != true] == [
        WEIGHTS[70_000] ^ 0xFF
    ]
    assert [mismatch["path"] for mismatch in HfApi().verify_repo_checksums("user/smoke").mismatches] == [
        "model.safetensors"
    ]
    snapshot_download("user/smoke", force_download=True)
    assert not HfApi().verify_repo_checksums("user/smoke").mismatches


def test_a_held_request_goes_on_when_it_is_released(hub):
    hub.put("user/smoke", FILES)
    fault = hub.fault("GET .*config.json", hold=True)
    thread = threading.Thread(target=hf_hub_download, args=("user/smoke", "config.json"))
    thread.start()
    fault.wait()
    assert thread.is_alive()
    fault.release()
    thread.join(10)
    assert not thread.is_alive() and fault.struck == 1
    hub.fault("GET .*README", delay=0.1)
    start = time.monotonic()
    hf_hub_download("user/smoke", "README.md")
    assert time.monotonic() - start >= 0.1


def test_a_hub_that_is_down_leaves_what_is_in_the_cache(hub):
    hub.put("user/smoke", FILES)
    hf_hub_download("user/smoke", "config.json")
    hub.requests.clear()
    assert Path(hf_hub_download("user/smoke", "config.json", local_files_only=True)).read_bytes() == b"{}"
    assert not hub.requests
    down = hub.fault(".", status=503)
    assert Path(hf_hub_download("user/smoke", "config.json")).read_bytes() == b"{}" and down.struck == 1
    with pytest.raises(LocalEntryNotFoundError):
        hf_hub_download("user/smoke", "README.md")


def test_without_the_fixture_the_client_stays_offline():
    with pytest.raises(OfflineModeIsEnabled):
        HfApi().model_info("user/smoke")
    assert HfApi().endpoint == hf_api.api.endpoint == datasets.config.HF_ENDPOINT == "https://huggingface.co"


def test_a_dataset_loads_by_its_card(hub, write_dataset, rows):
    folder = write_dataset("smoke", {"train": rows(5), "validation": rows(2)}, num_shards=2)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: plumes\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"
    )
    HfApi().create_repo("user/smoke", repo_type="dataset", private=True)
    HfApi().upload_folder(repo_id="user/smoke", repo_type="dataset", folder_path=folder)
    loaded = datasets.load_dataset("user/smoke")
    local = datasets.load_dataset(str(folder), cache_dir=str(folder / "cache"))
    assert list(loaded) == ["train"] == list(local) and loaded["train"].config_name == "plumes"
    assert loaded["train"][3] == local["train"][3] and len(loaded["train"]) == 5
    assert len(list(datasets.load_dataset("user/smoke", split="train", streaming=True))) == 5


def test_a_subprocess_needs_nothing_but_its_environment(tmp_path):
    call = "hf_hub_download('user/smoke', 'model.safetensors')"
    code = f"from huggingface_hub import hf_hub_download; print(open({call}, 'rb').read(9))"
    with LoopbackHub() as hub:
        hub.put("user/smoke", FILES, private=True)
        environment = {**os.environ, **hub.environment, "HF_HOME": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == f"{WEIGHTS[:9]}\n", done.stderr
    assert all(request.headers["Authorization"] is None for request in hub.requests if request.server == "cdn")
