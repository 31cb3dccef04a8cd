"""Other libraries load and train the models, as docs/interoperability.md says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from smoke_vq import NANO_MODEL, SmokeImageProcessor, SmokeVQVAE

PAGE = (Path(__file__).resolve().parent.parent / "docs/interoperability.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A new folder with a copy of the nano model; the code of repositories is cached there."""
    for module in ("diffusers.utils.dynamic_modules_utils", "transformers.dynamic_module_utils"):
        monkeypatch.setattr(f"{module}.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.chdir(tmp_path)
    model = SmokeVQVAE.from_pretrained(NANO_MODEL)
    model.save_pretrained("nano_copy")
    model.save_companions(Path("nano_copy"))
    return tmp_path


def test_auto_classes_of_diffusers_and_transformers_find_the_classes(folder):
    names = {}
    for example in EXAMPLES[:2]:
        exec(example, names)
    assert type(names["model"]) is SmokeVQVAE and not names["model"].training
    assert type(names["processor"]) is SmokeImageProcessor and names["processor"].height == 64


def test_they_run_no_code_of_a_folder_unless_it_is_allowed(folder):
    from diffusers import AutoModel

    with pytest.raises(ValueError, match="contains custom code"):
        AutoModel.from_pretrained("nano_copy")
    (folder / "nano_copy/smoke_vq_model.py").write_text("raise SystemError")
    assert SmokeVQVAE.from_pretrained("nano_copy").config.latent_channels == 32
    with pytest.raises(SystemError):
        AutoModel.from_pretrained("nano_copy", trust_remote_code=True)


def test_a_published_model_of_a_commit_is_found(hub, folder, tiny_model, same):
    from diffusers import AutoModel

    tiny_model.push_to_hub("user/tiny")
    commit = hub.commits("user/tiny")[0].sha
    other = SmokeVQVAE(**{key: value for key, value in tiny_model.config.items() if not key.startswith("_")})
    other.push_to_hub("user/tiny")
    assert same(AutoModel.from_pretrained("user/tiny", revision=commit, trust_remote_code=True))
    assert not same(AutoModel.from_pretrained("user/tiny", trust_remote_code=True))


def test_datasets_and_the_trainer_of_transformers(folder):
    names = {}
    exec(EXAMPLES[2], names)
    codes = np.asarray(names["codes"])
    assert codes.shape == (8, 8, 8)
    before = [parameter.clone() for parameter in names["model"].parameters()]
    expected = names["model"].encode(names["processor"](names["plume"].image).pixel_values).indices
    assert np.array_equal(codes, expected.numpy())
    exec(EXAMPLES[3], names)
    assert np.isfinite(names["trainer"].state.log_history[-1]["train_loss"])
    assert not all(map(torch.equal, before, names["model"].parameters()))
    assert type(SmokeVQVAE.from_pretrained("trained")) is SmokeVQVAE
