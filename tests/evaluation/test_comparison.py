"""Comparison on models with and without codes."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from training_runs import SIZE, reset_accelerate, smoke

from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.evaluation.comparison import Comparison
from smoke_vq.evaluation.evaluator import ReconstructionEvaluator
from smoke_vq.metrics import CodebookUsage, CodeEntropy, InceptionDistance, Metric, make_metrics


class Shades(nn.Module):
    """Rounds the mean of each frame to one of 4 values; returns them as codes without a codebook, or no codes."""

    def __init__(self, has_codes: bool):
        super().__init__()
        self.has_codes = has_codes
        if has_codes:
            self.quantizer = SimpleNamespace(num_codes=4)

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        codes = ((pixel_values.mean(dim=(1, 2, 3), keepdim=True) + 1) * 2).long().clamp(0, 3)
        sample = (codes / 2 - 0.75).expand_as(pixel_values).contiguous()
        return SimpleNamespace(sample=sample, indices=codes[:, 0] if self.has_codes else None)


@pytest.fixture
def accelerator():
    reset_accelerate()
    yield Accelerator(cpu=True)
    reset_accelerate()


@pytest.fixture
def evaluator(accelerator):
    return ReconstructionEvaluator(accelerator, smoke(6), SmokeImageProcessor(size=SIZE), batch_size=4, num_images=2)


def test_codes_without_a_codebook_are_counted(evaluator):
    figures = evaluator.evaluate(Shades(has_codes=True)).metrics
    assert figures["num_tokens"] == 6 and 1 <= figures["num_codes_used"] <= 4
    assert figures["bytes_per_frame"] == 2 / 8
    assert evaluator.validate(Shades(has_codes=True))["num_codes_used"] == figures["num_codes_used"]


def test_each_code_of_a_position_takes_bits(evaluator):
    class Both(Shades):
        """The codes of two levels."""

        def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
            output = super().forward(pixel_values)
            return SimpleNamespace(sample=output.sample, indices=torch.stack([output.indices] * 2, dim=3))

    figures, once = (evaluator.evaluate(model(has_codes=True)).metrics for model in (Both, Shades))
    assert figures["num_tokens"] == 12 and figures["bytes_per_frame"] == 4 / 8
    assert figures["num_codes_used"] == 2 * once["num_codes_used"] and figures["perplexity"] == once["perplexity"]


def test_a_model_without_a_quantizer_has_no_figures_of_codes(evaluator):
    with_codes, without = (evaluator.evaluate(Shades(has_codes)).metrics for has_codes in (True, False))
    missing = {figure.name for metric in (CodebookUsage, CodeEntropy) for figure in metric.figures} | {
        "bytes_per_frame"
    }
    assert set(with_codes) - set(without) == missing
    assert without == {name: value for name, value in with_codes.items() if name not in missing}
    assert evaluator.samples(Shades(has_codes=False)).shape == evaluator.targets().shape == (2, SIZE, SIZE, 3)
    assert "num_codes_used" not in evaluator.validate(Shades(has_codes=False))


def test_an_evaluation_does_not_depend_on_the_batch_size(accelerator):
    """Values per frame are sorted by row, and distances are averaged over all frames."""
    columns = []
    for batch_size in (1, 4):
        loader = FrameLoader(smoke(6), SmokeImageProcessor(size=SIZE), batch_size)
        options = {"functions": {"perceptual": lambda sample, target: (sample - target).square().mean(dim=(1, 2, 3))}}
        metrics = make_metrics(["image", "lpips", "plume"], lpips=options)
        columns.append(Comparison(accelerator, loader, metrics).measure_model(Shades(has_codes=True)))
    assert [column.figures.pop("flicker") for column in columns] == [None, None]
    assert columns[0].figures == pytest.approx(columns[1].figures, rel=1e-6)
    assert set(columns[0].per_frame) == {"mse", "psnr", "ssim", "perceptual", "mass_error", "mask_iou"}
    for name, values in columns[0].per_frame.items():
        torch.testing.assert_close(values, columns[1].per_frame[name], equal_nan=True)
    assert columns[0].figures["perceptual"] == pytest.approx(columns[0].figures["mse"], rel=1e-5)


def test_too_few_frames_for_a_metric_are_refused_before_measuring(accelerator):
    loader = FrameLoader(smoke(1), SmokeImageProcessor(size=SIZE), batch_size=4)
    with pytest.raises(ValueError, match=r"has 1 frame\(s\), but the figures FID, KID, images need at least 2"):
        Comparison(accelerator, loader, [InceptionDistance(lambda images: images.flatten(1).float())])
    assert Metric.min_frames == 1
