"""Alarms about a collapsed codebook and blank outputs, and the score of a validation."""

import pytest
import torch
from training_runs import batch

from smoke_vq.quantizers import QUANTIZERS
from smoke_vq.training.recipes.autoencoder import is_blank
from smoke_vq.training.recipes.code_distances import CodeDistances
from smoke_vq.training.recipes.codebook_health import codebook_alarms


def figures(used: int, tokens: int = 64_000, diversity: float = 1.0) -> dict[str, float]:
    return {"num_codes_used": used, "num_tokens": tokens, "diversity": diversity}


def test_healthy_figures_give_no_alarm():
    assert codebook_alarms(figures(900), 1024) == []


@pytest.mark.parametrize(("used", "alarm"), [(1, True), (102, True), (103, False)])
def test_less_than_a_tenth_of_uniform_use_is_a_collapse(used, alarm):
    """With 64,000 tokens uniform use shows all 1,024 codes."""
    assert bool(codebook_alarms(figures(used), 1024)) is alarm


def test_few_tokens_show_few_codes_without_a_collapse():
    """64 tokens of 1,024 codes: uniform use shows 1024 (1 - (1 - 1/1024)^64) = 62 of them, a tenth is 6."""
    assert codebook_alarms(figures(7, tokens=64), 1024) == []
    (sentence,) = codebook_alarms(figures(6, tokens=64), 1024)
    assert "6 of 1024 codes are used by 64 tokens (uniform use would show 62)" in sentence and "--lr" in sentence


@pytest.mark.parametrize(("diversity", "blank"), [(0.0, True), (0.049, True), (0.051, False)])
def test_outputs_that_look_alike_are_reported(diversity, blank):
    assert is_blank(figures(900, diversity=diversity)) is blank


def test_a_collapsed_codebook_is_not_reported_before_quantization_starts(objective):
    trained = objective(continuous_steps=2, codebook_init_vectors=0)
    trained.begin_training([batch(2)])
    collapsed = figures(1, diversity=0.0)
    for step, expected in (
        (1, ["The outputs look alike"]),
        (3, ["The codebook has collapsed", "The outputs look alike"]),
    ):
        trained.begin_step([batch(2)], step)
        assert [
            sentence[: len(start)] for sentence, start in zip(trained.alarms(collapsed), expected, strict=True)
        ] == expected


def test_an_evenly_grey_image_is_not_better_than_black(objective):
    """Masked MSE alone prefers grey: it ignores the background."""
    trained = objective(codebook_init_vectors=0)
    grey = {"masked_mse": 0.3, "background_mse": 0.525, "coverage": 0.064, "diversity": 1.0}
    black = {"masked_mse": 0.95, "background_mse": 0.01, "coverage": 0.064, "diversity": 1.0}
    assert black["masked_mse"] > grey["masked_mse"] and trained.score(black) < trained.score(grey)
    assert trained.score(black | {"diversity": 0.0}) == float("inf")


def test_the_score_is_the_loss_of_the_training(objective):
    from smoke_vq.losses import masked_mse
    from smoke_vq.metrics import Batch, ImageQuality

    trained, data = objective(background_weight=0.3, codebook_init_vectors=0), batch(8)
    sample = data["pixel_values"] * 0.7
    quality = ImageQuality()
    quality.update(Batch(sample=sample, target=data["pixel_values"], mask=data["mask"]))
    loss = masked_mse(sample, data["pixel_values"], data["mask"], 0.3)
    assert trained.score(quality.compute()) == pytest.approx(float(loss), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "distance", "alarm"),
    [
        ("vq", {}, 0.05, False),
        ("vq", {}, 0.15, True),
        ("ema", {}, 0.15, True),
        ("vq", {"cosine": True}, 0.15, False),
        ("simvq", {}, 0.15, False),
        ("fsq", {"levels": [4, 4]}, 0.15, False),
    ],
)
def test_latents_that_leave_their_codes_are_reported(name, options, distance, alarm):
    """The latents are codes to which noise is added: its variance is `distance` of the variance of the sum."""
    torch.manual_seed(0)
    quantizer = QUANTIZERS[name](num_codes=16, code_dim=8, **options)
    if quantizer.codebook is not None:
        torch.nn.init.normal_(quantizer.codebook, std=100)
    codes = torch.arange(16).repeat(4, 4)[:, :64].view(4, 8, 8)
    latents = quantizer.embed(codes).detach()
    spread = (latents - latents.mean(dim=(0, 2, 3), keepdim=True)).square().mean()
    latents += torch.randn_like(latents) * (spread * distance / (1 - distance)).sqrt()
    distances = CodeDistances(quantizer)
    assert distances.alarms() == []
    distances.observe(latents, codes)
    sentences = distances.alarms()
    assert ["--quantizer-loss-weights.commitment" in sentence for sentence in sentences] == [True] * alarm
    assert distances.alarms() == []


def test_latents_of_a_step_that_is_left_out_are_forgotten(objective):
    quantizers = objective(codebook_init_vectors=0).autoencoder.quantizer_training
    latents = torch.full((1, quantizers.quantizer.code_dim, 2, 2), torch.nan)
    quantizers.observe(latents, torch.zeros(1, 2, 2, dtype=torch.int64))
    quantizers.forget_step()
    assert quantizers.distances.alarms() == []
