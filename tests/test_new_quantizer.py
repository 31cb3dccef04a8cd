"""A quantizer outside the library: one file, and one line in the table, which is patched here."""

import json
from typing import ClassVar

import pytest
import torch
from training_runs import Killed, assert_same_run, data, history, kill_after, train  # noqa: F401

from smoke_vq import SmokeVQVAE
from smoke_vq.quantizers import QUANTIZERS, Quantizer, QuantizerOutput, StraightThrough


class SignQuantizer(Quantizer):
    """One bit per channel, the sign of the latent: no codebook, one loss, its own keyword argument."""

    default_loss_weights: ClassVar = {"entropy": 0.1}

    def __init__(self, num_codes: int, code_dim: int, sharpness: float = 1.0):
        super().__init__(num_codes, code_dim)
        if num_codes != 2**code_dim:
            raise ValueError(f"{code_dim} bits need {2**code_dim} codes, found num_codes {num_codes}.")
        self.sharpness = sharpness

    def forward(self, latents: torch.Tensor) -> QuantizerOutput:
        # Contiguous like the result of _embed, because convolutions round differently for other memory layouts.
        hard = torch.where(latents > 0, 1.0, -1.0).to(latents.dtype).contiguous()
        bits = 2 ** torch.arange(self.code_dim, device=latents.device)
        indices = ((hard > 0) * bits[:, None, None]).sum(dim=1)
        p = torch.sigmoid(self.sharpness * latents.float())
        entropy = torch.special.entr(p).mean() + torch.special.entr(1 - p).mean()
        quantized = StraightThrough.apply(latents, hard)
        return QuantizerOutput(quantized=quantized, indices=indices, losses={"entropy": entropy})

    def _embed(self, indices: torch.Tensor) -> torch.Tensor:
        bits = 2 ** torch.arange(self.code_dim, device=indices.device)
        return torch.where(indices[:, None] & bits[:, None, None] > 0, 1.0, -1.0)


@pytest.fixture(autouse=True)
def sign_quantizer(monkeypatch):
    monkeypatch.setitem(QUANTIZERS, "sign", SignQuantizer)


SIGNS = '--model.quantizer_type sign --model.latent_channels 5 --model.quantizer_kwargs {"sharpness":4.0}'


def test_it_trains_resumes_and_loads(train, tmp_path, kill_after):  # noqa: F811
    flags = f"{SIGNS} --quantizer-loss-weights.entropy 0.5"
    assert train(f"{flags} --run-name uninterrupted").code == 0
    kill_after(11)
    with pytest.raises(Killed):
        train(flags)
    kill_after(None)
    resumed = train(f"{flags} --resume-from-checkpoint latest")
    assert resumed.code == 0, resumed.err
    assert_same_run(tmp_path / "run", tmp_path / "uninterrupted")
    losses = {name for _, name, _ in history(tmp_path / "uninterrupted")}
    assert losses == {"train/reconstruction", "train/entropy", "train/total", "train/gradient_norm_model"}
    first = {name: value for step, name, value in history(tmp_path / "uninterrupted") if step == 1}
    assert first["train/total"] == pytest.approx(first["train/reconstruction"] + 0.5 * first["train/entropy"], rel=1e-6)
    model = SmokeVQVAE.from_pretrained(tmp_path / "uninterrupted/best")
    assert model.quantizer.sharpness == 4.0 and model.quantizer.codebook is None
    config = json.loads((tmp_path / "uninterrupted/best/config.json").read_text())
    assert config["quantizer_kwargs"] == {"sharpness": 4.0}
    pixel_values = torch.rand(2, 3, 16, 16) * 2 - 1
    output = model(pixel_values)
    assert torch.equal(model.decode_indices(output.indices).sample, output.sample)


def test_a_loss_with_a_name_of_the_recipe_is_refused(train, monkeypatch):  # noqa: F811
    monkeypatch.setattr(SignQuantizer, "default_loss_weights", {"reconstruction": 1.0})
    ended = train(SIGNS)
    assert ended.code == 2 and "SignQuantizer names a loss 'reconstruction', which the recipe has already" in ended.err


def test_its_keyword_arguments_and_losses_are_checked(train, tmp_path):  # noqa: F811
    ended = train(SIGNS.replace("sharpness", "sharpnes"))
    assert ended.code == 2 and "unexpected keyword argument 'sharpnes'; it takes ['sharpness']" in ended.err
    ended = train(f"{SIGNS} --quantizer-loss-weights.commitment 1")
    assert (
        ended.code == 2
        and "'commitment', which is not a loss of SignQuantizer: expected some of ['entropy']" in ended.err
    )
    assert not (tmp_path / "run").exists()


def test_it_may_have_no_losses_but_no_undeclared_ones(train, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(SignQuantizer, "default_loss_weights", {})
    ended = train(f"{SIGNS} --run-name undeclared")
    assert ended.code == 2 and "loss 'entropy' is missing from its default_loss_weights" in ended.err
    forward = SignQuantizer.forward
    without = lambda self, latents: QuantizerOutput(*forward(self, latents).to_tuple()[:2])  # noqa: E731
    monkeypatch.setattr(SignQuantizer, "forward", without)
    ended = train(f"{SIGNS} --epochs 1")
    assert ended.code == 0, ended.err
    assert {name for _, name, _ in history(tmp_path / "run")} == {
        "train/reconstruction",
        "train/total",
        "train/gradient_norm_model",
    }
