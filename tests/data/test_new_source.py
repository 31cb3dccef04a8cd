"""A new data source is one class and one line, those of docs/data.md: it then loads, mixes and appears in a card."""

import numpy as np
import pytest
import torch
from batches import PROCESSOR, code_of_docs

from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.sources import SOURCES, load_frames
from smoke_vq.hub.provenance import describe_data


@pytest.fixture
def source(monkeypatch, tmp_path, tiny_frames) -> str:
    monkeypatch.setitem(SOURCES, "numpy", None)  # removed again after the test
    exec(code_of_docs("NumpySource"), {})
    np.save(tmp_path / "smoke.npy", tiny_frames.images.numpy())
    return f"numpy:{tmp_path}/smoke.npy"


def test_it_loads_and_mixes(source, tiny_frames, dataset_folder):
    assert torch.equal(load_frames(source, size=16).images, tiny_frames.images)
    mix = load_frames([source, str(dataset_folder)], size=16, weights=[1, 1])
    batches = list(FrameLoader(mix, PROCESSOR, batch_size=8, shuffle=True).epoch(0))
    assert len(mix) == 48 and len(batches) == 6


def test_it_appears_in_a_card(source, monkeypatch):
    about = {"title": "frames of numpy", "license": "cc-by-4.0"}
    monkeypatch.setattr(SOURCES["numpy"], "revision", lambda name: "2", raising=False)
    monkeypatch.setattr(SOURCES["numpy"], "describe", lambda name, published_name: about, raising=False)
    facts = {"name": source, "split": "train", "revision": "2", "on_hub": False}
    assert describe_data(source, "train") == facts | about
