"""Helpers for the tests of loaders."""

import re
from pathlib import Path

import torch

from smoke_vq.data.processor import SmokeImageProcessor

PROCESSOR = SmokeImageProcessor(size=16)


def code_of_docs(word: str) -> str:
    """The Python example of docs/data.md that contains the word."""
    text = (Path(__file__).parents[1] / "docs/data.md").read_text()
    return next(code for code in re.findall("```python\n(.*?)```", text, re.DOTALL) if word in code)


def rows_of(batches) -> list[list[int]]:
    return [batch["row"].tolist() for batch in batches]


def flat(lists: list[list]) -> list:
    return [item for items in lists for item in items]


def assert_same_batches(some, others) -> None:
    some, others = list(some), list(others)
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        assert set(one) == set(other) >= {"pixel_values", "mask", "row"}
        for name in one:
            assert torch.equal(one[name], other[name]), name
