"""Alarms in closed cases: they ring at a collapse and keep still at the ordinary noise of few tokens."""

import pytest

from smoke_vq.training.alarms import alarms


def figures(used: int, tokens: int = 64_000, diversity: float = 1.0) -> dict[str, float]:
    return {"num_codes_used": used, "num_tokens": tokens, "diversity": diversity}


def test_silence_when_all_is_well():
    assert alarms(figures(900), 1024) == []


@pytest.mark.parametrize(("used", "rings"), [(1, True), (102, True), (103, False)])
def test_a_tenth_of_what_uniform_use_would_show(used, rings):
    """With 64,000 tokens uniform use shows all 1,024 codes."""
    assert bool(alarms(figures(used), 1024)) is rings


def test_few_tokens_show_few_codes_and_that_is_no_collapse():
    """64 tokens of 1,024 codes: uniform use shows 1024 (1 - (1 - 1/1024)^64) = 62 of them, a tenth is 6."""
    assert alarms(figures(7, tokens=64), 1024) == []
    (sentence,) = alarms(figures(6, tokens=64), 1024)
    assert "6 of 1024 codes serve 64 tokens (uniform use would show 62)" in sentence and "--lr" in sentence


@pytest.mark.parametrize(("diversity", "rings"), [(0.0, True), (0.049, True), (0.051, False)])
def test_outputs_that_look_alike(diversity, rings):
    assert bool(alarms(figures(900, diversity=diversity), 1024)) is rings


def test_both_at_once():
    first, second = alarms(figures(1, diversity=0.0), 1024)
    assert first.startswith("The codebook has collapsed") and second.startswith("The outputs look alike")
