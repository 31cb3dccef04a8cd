"""Damaged settings.json files, in every folder that has one."""

import json

import pytest

from smoke_vq.evaluation.forecasts.test_set import load_test_set
from smoke_vq.preparation.folder import open_output_folder
from smoke_vq.preparation.settings import read_settings
from smoke_vq.tokens import decode_dataset, is_code_folder, read_latents


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "expected a JSON object, found an empty file"),
        (b'{"encoder": {', "expected a JSON object, found text that is not JSON"),
        (b"\xff\xfe", "expected a JSON object, found text that is not JSON"),
        (b"[1, 2]", r"expected a JSON object, found \[1, 2\]"),
        (b"null", "expected a JSON object, found null"),
    ],
)
def test_a_damaged_file_is_named_by_every_reader(tiny_model, tmp_path, content, found):
    (tmp_path / "settings.json").write_bytes(content)
    readers = {
        "codes": lambda: is_code_folder(tmp_path),
        "decoding": lambda: decode_dataset(tiny_model, None, tmp_path, tmp_path / "frames"),
        "latents": lambda: read_latents(tmp_path, "train", tiny_model),
        "futures": lambda: load_test_set(str(tmp_path)),
        "continuing": lambda: open_output_folder(tmp_path, {"settings.json"}, {}),
    }
    for name, read in readers.items():
        with pytest.raises(ValueError, match=rf"settings\.json is damaged: {found}.* Restore the file from a copy, or"):
            print(name, read())
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_missing_keys_are_named(tiny_model, tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"encoder": {"sha256": "0"}, "splits": [], "starts": [4]}))
    with pytest.raises(ValueError, match=r"expected 'splits' to be an object, found \[\]"):
        read_latents(tmp_path, "train", tiny_model)
    with pytest.raises(ValueError, match="expected 'num_plumes' to be a whole number, found no such key"):
        load_test_set(str(tmp_path))


def test_a_folder_of_something_else_is_not_damaged(tiny_model, tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"num_frames": 10}))
    assert not is_code_folder(tmp_path) and read_settings(tmp_path) == {"num_frames": 10}
    with pytest.raises(
        FileNotFoundError, match=r"is not a folder of codes: it has no settings\.json that names an enc"
    ):
        read_latents(tmp_path, "train", tiny_model)
    assert read_settings(tmp_path / "none") is None
