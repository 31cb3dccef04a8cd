"""docs/quantizers.md describes every quantizer."""

import re
from pathlib import Path

import pytest

from smoke_vq.quantizers import QUANTIZERS, make_quantizer

PAGE = (Path(__file__).resolve().parents[2] / "docs/quantizers.md").read_text()
REQUIRED = {"fsq": {"levels": [8, 8, 4, 4]}}


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_page_has_a_paragraph_and_the_default_weights(name):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert f"\n**`{name}`**" in PAGE
    losses = row.split("|")[4]
    if "those of its quantizer" in losses:
        return
    weights = make_quantizer(name, 1024, 16, REQUIRED.get(name)).default_loss_weights
    assert {loss: float(weight) for loss, weight in re.findall(r"`(\w+)` \(([\d.]+)\)", losses)} == weights
