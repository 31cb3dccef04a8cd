"""A new data source is one class and one line: it then loads, mixes and appears in a card."""

import numpy as np
import pytest
import torch

from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.data.sources import SOURCES, load_frames
from smoke_vq.data.sources.base import Source
from smoke_vq.hub.provenance import describe_data


class NumpySource(Source):
    """Names "numpy:PATH", a file of (N, H, W, 3) uint8."""

    def matches(self, name: str) -> bool:
        return name.startswith("numpy:")

    def load(self, name: str, split: str, size: int, resize: bool) -> PackedFrames:
        return PackedFrames(torch.from_numpy(np.load(name.removeprefix("numpy:"))), name=name)

    def revision(self, name: str) -> str:
        return "2"

    def describe(self, name: str, published_name: str) -> dict[str, str | None]:
        return {"title": "frames of numpy", "license": "cc-by-4.0"}


@pytest.fixture
def source(monkeypatch, tmp_path, tiny_frames) -> str:
    monkeypatch.setitem(SOURCES, "numpy", NumpySource())
    np.save(tmp_path / "smoke.npy", tiny_frames.images.numpy())
    return f"numpy:{tmp_path}/smoke.npy"


def test_it_loads_and_mixes(source, tiny_frames, dataset_folder):
    assert torch.equal(load_frames(source, size=16).images, tiny_frames.images)
    mix = load_frames([source, str(dataset_folder)], size=16, weights=[1, 1])
    batches = list(FrameLoader(mix, SmokeImageProcessor(16), batch_size=8, shuffle=True).epoch(0))
    assert len(mix) == 48 and len(batches) == 6


def test_it_appears_in_a_card(source):
    facts = {"name": source, "split": "train", "revision": "2", "on_hub": False}
    assert describe_data(source, "train") == facts | {"title": "frames of numpy", "license": "cc-by-4.0"}
