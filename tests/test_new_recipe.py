"""A recipe outside the library that is not an autoencoder: a linear regression on latents.

It uses the same trainer, arguments, checkpoints, export and card as the recipes of the library.
"""

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from diffusers.configuration_utils import register_to_config
from torch import nn
from training_runs import MODEL, SIZE, Killed, assert_same_run, data, history, kill_after, reset_accelerate  # noqa: F401

from smoke_vq import SmokeVQVAE
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.data.sources import load_frames
from smoke_vq.evaluation.evaluator import Evaluation
from smoke_vq.models.pretrained import PretrainedModel
from smoke_vq.training import (
    Objective,
    Player,
    RecipeArguments,
    Trainer,
    TrainingArguments,
    check_arguments,
    make_accelerator,
    make_publisher,
    make_train_loader,
    option,
    parse_arguments,
)


class BrightnessRegression(PretrainedModel):
    """Predicts the brightness of frames from the means of their latents: (B, D, h, w) to (B,)."""

    @register_to_config
    def __init__(self, latent_channels: int = 8):
        super().__init__()
        self.linear = nn.Linear(latent_channels, 1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.linear(latents.mean(dim=(2, 3)))[:, 0]


@dataclass
class RegressionArguments(RecipeArguments):
    """Train a BrightnessRegression."""

    ridge: float = option(0.0, "Factor of the squared weights in the loss.")


class RegressionObjective(Objective):
    summary = ("squared_error",)
    progress = ("squared_error",)

    def __init__(self, accelerator: Accelerator, model: nn.Module, encoder: nn.Module, arguments, num_steps: int):
        self.encoder, self.ridge = encoder, arguments.recipe.ridge
        self.players = {"model": Player(accelerator, model, arguments.optimization, num_steps)}

    def step(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        prediction = self.player.network(latents_of(self.encoder, batch["pixel_values"]))
        error = (prediction - batch["pixel_values"].mean(dim=(1, 2, 3))).square().mean()
        penalty = self.player.network.linear.weight.square().sum()
        total = error + self.ridge * penalty
        self.player.update(total)
        return {"squared_error": error.detach(), "penalty": penalty.detach(), "total": total.detach()}

    def score(self, figures: dict[str, float]) -> float:
        return figures["squared_error"]

    def describe(self, step: int) -> dict:
        return {"recipe": "the squared error of the brightness"}


@torch.no_grad()
def latents_of(encoder: nn.Module, pixel_values: torch.Tensor) -> torch.Tensor:
    return encoder.encode(pixel_values).latents


class RegressionEvaluator:
    """No picture and no codes; the only baseline is the mean."""

    def __init__(self, frames, processor: SmokeImageProcessor, encoder: nn.Module):
        pixel_values = processor.to_pixel_values(frames.images)
        self.fingerprint = frames.fingerprint()
        self.latents, self.target = latents_of(encoder, pixel_values), pixel_values.mean(dim=(1, 2, 3))

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"squared_error": float((model(self.latents) - self.target).square().mean())}

    def evaluate(self, model: nn.Module) -> Evaluation:
        return Evaluation(self.validate(model), {"mean": {"squared_error": float(self.target.var(correction=0))}}, None)

    def samples(self, model: nn.Module) -> np.ndarray | None:
        return None

    targets = partial(samples, None, None)


def main(argv: list[str]) -> None:
    """The script of the recipe."""
    arguments: TrainingArguments[RegressionArguments] = parse_arguments(RegressionArguments, argv)
    check_arguments(BrightnessRegression, arguments.recipe.model, "model")
    accelerator = make_accelerator(arguments)
    encoder = SmokeVQVAE(**MODEL).eval()
    model = BrightnessRegression(**arguments.recipe.model)
    processor = SmokeImageProcessor(size=SIZE)
    loader = make_train_loader(accelerator, arguments, processor)
    frames = load_frames(arguments.data.dataset[0], arguments.data.validation_split, SIZE)
    evaluator = RegressionEvaluator(frames, processor, encoder)
    num_steps = Trainer.count_steps(arguments.optimization, loader)
    objective = RegressionObjective(accelerator, model, encoder, arguments, num_steps)
    with make_publisher(accelerator, arguments, BrightnessRegression.card_text, objective.describe) as publisher:
        result = Trainer(accelerator, objective, loader, evaluator, arguments, num_steps, publisher.push_best).train()
        if result is not None:
            publisher.finish(result)


FLAGS = "--batch-size 8 --epochs 2 --lr 1e-2 --warmup-steps 2 --logging-steps 1 --checkpointing-steps 4 --ridge 0.01"


@pytest.fixture
def regress(data, tmp_path, monkeypatch):  # noqa: F811
    def run(flags: str = "") -> Path:
        reset_accelerate()
        monkeypatch.setattr(sys, "argv", ["train_regression.py"])
        try:
            main(f"--dataset {data} --output-dir {tmp_path} {FLAGS} {flags}".split())
        finally:
            reset_accelerate()

    return run


def test_ten_steps_resumed_to_the_last_bit_and_exported_with_a_card(regress, tmp_path, kill_after, capsys):  # noqa: F811
    regress("--run-name uninterrupted")
    shown = capsys.readouterr().out
    assert "step 10: squared_error" in shown or "step 10: squared error" in shown
    assert max(step for step, *_ in history(tmp_path / "uninterrupted")) == 10
    kill_after(7)
    with pytest.raises(Killed):
        regress()
    kill_after(None)
    regress("--resume-from-checkpoint latest")
    assert_same_run(tmp_path / "run", tmp_path / "uninterrupted")
    best = tmp_path / "run/best"
    figures = json.loads((best / "metrics.json").read_text())
    first, last = (value for *_, value in history(tmp_path / "run", "validation/"))
    assert figures["this model"]["squared_error"] == pytest.approx(last, rel=1e-6) and last < first
    assert figures["mean"]["squared_error"] > 0
    assert BrightnessRegression.from_pretrained(best).config.latent_channels == 8
    card = (best / "README.md").read_text()
    for words in ("BrightnessRegression", "squared_error", "the squared error of the brightness", "blobs", "{{"):
        assert (words in card) is (words != "{{"), words
    assert not (best / "reconstructions.png").exists() and not (tmp_path / "run/samples.png").exists()


def test_an_unknown_option_of_the_recipe_is_refused(regress):
    with pytest.raises(ValueError, match=r"Unknown flag '--rigde' \(did you mean 'ridge'\?\)"):
        regress("--rigde 1")
