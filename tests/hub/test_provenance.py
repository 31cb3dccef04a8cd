"""Facts about a training, without local paths."""

import re

import pytest

from smoke_vq.hub import provenance
from smoke_vq.hub.provenance import command, describe_data, public_arguments, public_name


@pytest.mark.parametrize("source", ["user/plumes", "simulated", "simulated:small"])
def test_other_names_are_unchanged(source):
    assert public_name(source) == source


def test_only_the_last_part_of_a_path_is_public(tmp_path, monkeypatch):
    (tmp_path / "a/simulated").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    assert public_name(str(tmp_path / "a")) == public_name(".") == public_name("../a") == "a"
    assert public_name("./simulated") == "./simulated"
    assert public_name("~/nowhere/smoke") == public_name("/nowhere/smoke") == "smoke"
    assert describe_data(".", "train")["on_hub"] is False


def test_public_arguments_neither_resume_nor_push():
    arguments = {"dataset": ["/data/smoke", "user/plumes"], "init_from": None, "lr": 1e-3, "output_dir": "/runs"}
    hub = {"push_to_hub": True, "hub_model_id": "user/smoke", "resume_from_checkpoint": "latest"}
    public = {"dataset": ["smoke", "user/plumes"], "init_from": None, "lr": 1e-3, "output_dir": "runs"}
    assert public_arguments(arguments | hub) == public | {
        "push_to_hub": False,
        "hub_model_id": None,
        "resume_from_checkpoint": None,
    }


def test_the_commit_is_that_of_the_library(tmp_path, monkeypatch):
    found = provenance.commit()["commit"]
    assert found is None or re.fullmatch(r"[0-9a-f]{40}", found)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "site/smoke_vq/hub/provenance.py"))
    (tmp_path / "site/smoke_vq/hub").mkdir(parents=True)
    assert provenance.commit() == {"commit": None, "modified": None}, "outside its repository"


def test_the_command_has_no_local_paths(monkeypatch):
    words = ["/home/me/scripts/train.py", "--dataset", "/data/smoke", "../../home/alice/plumes", "~/wisps"]
    words += ["data/rise64", "--output-dir=/home/me/runs", "--init-from", "/scratch/alice/lr=1e-4/best", "--lr", "1e-3"]
    words += ["file:///home/alice/a", "C:\\Users\\alice\\b", "C:/Users/alice/c", "x=/home/alice/d"]
    monkeypatch.setattr("sys.argv", words)
    assert command() == (
        "accelerate launch scripts/train.py --dataset smoke plumes wisps data/rise64 --output-dir=runs "
        "--init-from best --lr 1e-3 a b c x=d"
    )
