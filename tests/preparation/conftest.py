"""One synthetic clip and its cut-out, made once for all tests."""

import pytest
from synthetic_clips import clip

from smoke_vq.preparation.matting.cut_out import cut_out


@pytest.fixture(scope="session")
def known():
    return clip()


@pytest.fixture(scope="session")
def cut(known):
    return cut_out(known[0], gain=1.0)
