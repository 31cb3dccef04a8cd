"""The real client works with the Hub on loopback as with the real Hub."""

from pathlib import Path

import datasets
import pytest
from huggingface_hub import HfApi, hf_api, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

WEIGHTS = bytes(range(256)) * 400
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "deep/er/a b.txt": b"text", "README.md": b"---\n---\n"}


def read(folder: str) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_uploaded_files_are_downloaded_unchanged(hub, tmp_path, repo_type):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    api = HfApi()
    api.create_repo("user/smoke", repo_type=repo_type)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("user/smoke", repo_type=repo_type)
    commit = api.upload_folder(repo_id="user/smoke", folder_path=tmp_path, repo_type=repo_type)
    files = hub.files("user/smoke", repo_type=repo_type)
    assert {name: files[name] for name in FILES} == FILES
    assert commit.oid == hub.commits("user/smoke", repo_type=repo_type)[0].sha
    assert hub.repository("user/smoke", repo_type).find("main").files["model.safetensors"].lfs
    assert read(snapshot_download("user/smoke", repo_type=repo_type)) == files
    if repo_type == "model":
        assert not api.verify_repo_checksums("user/smoke").mismatches, "the checksums are those of git"


def test_an_interrupted_download_resumes_and_the_cdn_gets_no_token(hub, monkeypatch):
    # The client resumes after the last complete chunk; its default is 10 MB.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.put("user/smoke", FILES, private=True)
    fault = hub.fault("GET /lfs/.*safetensors", drop_after=50_500, times=1)
    assert Path(hf_hub_download("user/smoke", "model.safetensors")).read_bytes() == WEIGHTS
    first, second = (request for request in hub.requests if request.path.startswith("/lfs/"))
    assert fault.count == 1 and "Range" not in first.headers and second.headers["Range"] == "bytes=50000-"
    for request in hub.requests:
        assert ("hf_test" in str(request.headers)) == (request.server == "hub" and "agent" not in request.path)


def test_without_the_fixture_the_client_stays_offline():
    with pytest.raises(OfflineModeIsEnabled):
        HfApi().model_info("user/smoke")
    assert HfApi().endpoint == hf_api.api.endpoint == datasets.config.HF_ENDPOINT == "https://huggingface.co"
