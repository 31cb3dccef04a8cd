"""The checksums of saved folders: written last, compared at a load, and reported by smoke-vq verify."""

import json
import shutil
import subprocess
import sys
from hashlib import sha256

import pytest
import torch

from smoke_vq import SmokeImageProcessor, SmokeVQVAE, cli
from smoke_vq.assets import NANO_FORECASTER, NANO_MODEL, NANO_SHARP, NANO_VQGAN
from smoke_vq.downloads import checksums
from smoke_vq.downloads.checksums import compare_checksums, read_checksums, record_checksums, take_checksums
from smoke_vq.downloads.verify import DAMAGED, UNKNOWN, WHOLE, verify_folder
from smoke_vq.hub.staging import published_files
from smoke_vq.layout import CHECKSUMS, CONFIG, MODEL_FILES, WEIGHTS
from smoke_vq.training.export import export_model, update_model

HALF = "diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def best(tmp_path, tiny_model):
    export_model(tiny_model, tmp_path / "best", {"step": 1})
    return tmp_path / "best"


@pytest.fixture
def verify(monkeypatch, capsys):
    """A function (words) -> exit status and lines of smoke-vq verify."""

    def verify(words: str):
        monkeypatch.setattr(sys, "argv", ["smoke-vq", "verify", *words.split()])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr().out.splitlines()

    return verify


def states(folder) -> dict[str, str]:
    return {verdict.folder.name: verdict.state for verdict in verify_folder(folder)}


def test_every_file_is_recorded_as_sha256sum_does(best):
    recorded = read_checksums(best)
    assert recorded == {
        path.name: sha256(path.read_bytes()).hexdigest() for path in best.iterdir() if path.name != CHECKSUMS
    }
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", CHECKSUMS], cwd=best, check=True, capture_output=True)


@pytest.mark.parametrize("name", sorted([CONFIG, WEIGHTS, "preprocessor_config.json", "validation.json"]))
def test_one_bit_that_changed_is_found_in_every_file(best, verify, name):
    content = bytearray((best / name).read_bytes())
    content[len(content) // 2] ^= 1
    (best / name).write_bytes(content)
    assert states(best) == {"best": DAMAGED}
    code, lines = verify(str(best))
    assert code == 1 and lines[0].startswith(f"damaged  {best}: {name} has the sha256 ")


def test_saving_again_keeps_the_records_of_other_files(best, tiny_model):
    before = read_checksums(best)
    tiny_model.save_pretrained(best, variant="fp16")
    assert read_checksums(best).keys() == before.keys() | {HALF}
    update_model(tiny_model.register_to_config(latents_mean=[0.0] * 8, latents_std=[1.0] * 8) or tiny_model, best)
    after = read_checksums(best)
    assert after.keys() == before.keys() | {HALF} and after[CONFIG] != before[CONFIG]
    assert states(best) == {"best": WHOLE}
    (best / HALF).unlink()
    record_checksums(best, [])
    assert read_checksums(best).keys() == before.keys()
    SmokeVQVAE.from_pretrained(best)
    SmokeImageProcessor.from_pretrained(best)


def test_an_export_that_is_killed_leaves_no_wrong_checksum(best, tiny_model, monkeypatch):
    """At each replaced file: what is left loads, with new weights or old ones."""
    from pathlib import Path

    replace, calls = Path.replace, []
    with torch.no_grad():
        tiny_model.decoder.conv_in.bias.add_(1)
    for last in range(20):
        calls.clear()

        def killed(self, target, last=last):
            calls.append(target)
            if len(calls) > last and Path(target).parent == best:
                raise KeyboardInterrupt
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", killed)
        try:
            export_model(tiny_model, best, {"step": 2})
        except KeyboardInterrupt:
            monkeypatch.setattr(Path, "replace", replace)
            SmokeVQVAE.from_pretrained(best)
            assert DAMAGED not in states(best).values()
        else:
            break
    monkeypatch.setattr(Path, "replace", replace)
    assert states(best) == {"best": WHOLE}


def test_a_model_that_a_training_replaces_meanwhile_is_not_damaged(best, monkeypatch):
    digest = checksums.digest

    def replaced(path):
        monkeypatch.setattr(checksums, "digest", digest)
        path.write_text("{}")
        record_checksums(best, [CONFIG])
        return "0" * 64

    monkeypatch.setattr(checksums, "digest", replaced)
    compare_checksums(best, [CONFIG], "best")


def test_a_run_a_checkpoint_and_a_dataset_are_verified(tmp_path, best, verify):
    checkpoint = tmp_path / "checkpoints/checkpoint-00000001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    (checkpoint / "manifest.json").write_text(json.dumps({"model.safetensors": sha256(b"weights").hexdigest()}))
    data = tmp_path / "data/data"
    data.mkdir(parents=True)
    (data / "train-0.parquet").write_bytes(b"rows")
    assert states(tmp_path) == {"best": WHOLE, checkpoint.name: WHOLE, "data": UNKNOWN}
    assert verify(str(tmp_path))[0] == 3
    record_checksums(tmp_path / "data", ["data/train-0.parquet"])
    code, lines = verify(str(tmp_path))
    assert code == 0 and len(lines) == 3 and all(line.startswith("whole ") for line in lines)
    (checkpoint / "model.safetensors").unlink()
    code, lines = verify(str(tmp_path))
    assert code == 1 and any("model.safetensors is missing" in line for line in lines)
    (checkpoint / "manifest.json").write_text('{"../../best/config.json": "0"}')
    assert states(tmp_path)[checkpoint.name] == DAMAGED


def test_a_model_of_an_older_version_is_unknown_and_loads(best, verify):
    take_checksums(best)
    assert verify(str(best))[0] == 3
    SmokeVQVAE.from_pretrained(best)
    (best / "empty").mkdir()
    assert verify(str(best / "empty")) == (3, [f"unknown  {best / 'empty'}: it holds no model, checkpoint or dataset."])


def test_the_installed_models_are_whole(verify):
    assert verify("nano")[0] == verify("nano_vqgan")[0] == verify("nano_sharp")[0] == verify("nano_forecaster")[0] == 0
    assert {
        v.state for folder in (NANO_MODEL, NANO_VQGAN, NANO_SHARP, NANO_FORECASTER) for v in verify_folder(folder)
    } == {WHOLE}


def test_a_repository_is_verified(hub, best, verify):
    hub.put("user/model", {path.name: path.read_bytes() for path in best.iterdir()})
    code, lines = verify("user/model")
    assert code == 0 and len(lines) == 2 and "its files are those on the Hub" in lines[0]
    hub.put("user/model", {CONFIG: (best / CONFIG).read_bytes() + b"\n"})  # changed before it was uploaded
    code, lines = verify("user/model")
    assert code == 1 and "config.json has the sha256" in lines[1]
    assert verify("user/none")[0] == 2


def test_a_signed_folder_loads_and_is_whole(best, same, tmp_path):
    """The package model-signing, with a key of one's own, as docs/trust.md says; the signature lies in the folder."""
    pytest.importorskip("model_signing")
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "key.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def model_signing(action: str, name: str) -> int:
        words = [action, "key", best, f"--{name}_key", tmp_path / f"key.{'pem' if name == 'private' else 'pub'}"]
        command = [sys.executable, "-m", "model_signing", *words, "--signature", best / "model.sig"]
        return subprocess.run([*map(str, command)], capture_output=True).returncode

    assert model_signing("sign", "private") == 0 and (best / "model.sig").is_file()
    assert model_signing("verify", "public") == 0
    assert states(best) == {"best": WHOLE} and same(SmokeVQVAE.from_pretrained(best))
    assert not [path for path in published_files(best, MODEL_FILES) if path.name == "model.sig"]
    config = json.loads((best / CONFIG).read_text())
    (best / CONFIG).write_text(json.dumps(config | {"scaling_factor": 2.0}))
    record_checksums(best, [CONFIG])  # a forgery, which the checksums cannot show
    assert states(best) == {"best": WHOLE} and model_signing("verify", "public") != 0
