"""Evaluation of a forecaster of latents during and after its training, by forecasts of validation clips."""

import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from PIL import Image
from torch import nn

from ...data.frames import Frames
from ...data.processor import SmokeImageProcessor
from ...flow_matching import rollout
from ...pictures import fitting_scale, image_grid
from ..evaluator import Evaluation
from .cases import ForecastCase
from .measure import measure
from .references import reference_rows, through_codes
from .row import Row
from .scores import make_scores
from .test_set import MIN_PAST, sequence_cases

_SCORES = ("psnr", "iou", "mass", "crps", "spread_skill")
_SHOWN_FRAMES = 8  # of a forecast in pictures, evenly spaced


class ForecastEvaluator:
    """Forecasts the clips of a validation split and compares them with what happened.

    The noise of a forecast depends on the clip only. The processes of a training share the forecasts, and each has the
    figures of all of them.

    Args:
        frames: validation frames with sequences.
        space: the `smoke_vq.tokens.LatentSpace` that the forecaster works in.
        num_previous: observed frames that the forecaster needs.
        num_frames: frames of a forecast.
        num_samples, num_inference_steps, sampler: see `rollout`.
        max_cases: forecasts for `validate`, evenly spaced; None for all.
        num_images: frames of `samples`.
        rank, world_size: which share of the forecasts this process makes.

    Raises:
        ValueError: unknown sequences, or clips that are all too short.
    """

    def __init__(
        self,
        frames: Frames,
        processor: SmokeImageProcessor,
        space: Any,
        num_previous: int,
        num_frames: int = 16,
        num_samples: int = 4,
        num_inference_steps: int = 10,
        sampler: str = "euler",
        max_cases: int | None = None,
        num_images: int = 8,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.frames, self.processor, self.space = frames, processor, space
        self.num_samples, self.num_inference_steps, self.sampler = num_samples, num_inference_steps, sampler
        self.cases = [case for case in sequence_cases(frames, num_frames) if len(case.past) >= num_previous]
        if not self.cases:
            start = MIN_PAST - (MIN_PAST - num_previous) // num_frames * num_frames
            raise ValueError(
                f"{frames.name} has no clip of {start} observed frames and {num_frames} to predict: the forecaster "
                f"needs {num_previous}, and forecasts start after {MIN_PAST} frames and every {num_frames} frames."
            )
        count = len(self.cases) if max_cases is None else min(max_cases, len(self.cases))
        self.some = [self.cases[i] for i in np.linspace(0, len(self.cases) - 1, count).round().astype(int)]
        self.num_images = min(num_images, num_frames)
        self.rank, self.world_size = rank, world_size
        self._latents_of: dict[tuple[str, str], torch.Tensor] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Number of validation frames and CRC-32 of their pixels."""
        return self.frames.pack().fingerprint()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Means over forecasts and horizons, and two figures of the latents.

        latents_ratio: standard deviation of the predicted latents over that of the true ones.
        motion: mean absolute change of the latents from frame to frame, relative to the true one.
        """
        figures = self._figures([Row("model", self._predict(model))], self.some)["model"]
        return figures | self._figures_of_latents(model)

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Figures of all forecasts, and of the references."""
        rows = [Row("model", self._predict(model)), *reference_rows(self.cases, through_codes(self.space.autoencoder))]
        figures = self._figures(rows, self.cases)
        return Evaluation(figures.pop("model"), figures, self._picture(model))

    @torch.no_grad()
    def samples(self, model: nn.Module) -> np.ndarray:
        """Frames of one sample of the first forecast, (N, H, W, 3) uint8."""
        members = self._predict(model)(self.some[0])
        return self.processor.postprocess(members[0, self._shown(self.num_images)], "np")

    def targets(self) -> np.ndarray:
        """What happened, (N, H, W, 3) uint8."""
        return self.some[0].futures[0, self._shown(self.num_images)]

    def _predict(self, model: nn.Module):
        def predict(case: ForecastCase) -> torch.Tensor:
            latents = self._latents(model, case)
            return self.space.decode(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])

        return predict

    @torch.no_grad()
    def _latents(self, model: nn.Module, case: ForecastCase) -> torch.Tensor:
        """Predicted latents, (S, T, C, h, w)."""
        past = self._encoded(case, "past")
        num_samples = self.num_samples if model.coupling.is_random else 1
        past = past.expand(num_samples, *past.shape)
        generator = torch.Generator().manual_seed(zlib.crc32(case.name.encode()))
        return rollout(model, past, case.num_frames, self.num_inference_steps, self.sampler, generator)

    def _encoded(self, case: ForecastCase, part: str) -> torch.Tensor:
        """Normalized latents of a part of a case, (T, C, h, w), encoded once."""
        if (case.name, part) not in self._latents_of:
            frames = case.past_values if part == "past" else case.future_values[0]
            self._latents_of[case.name, part] = self.space.encode(frames)
        return self._latents_of[case.name, part]

    def _figures_of_latents(self, model: nn.Module) -> dict[str, float]:
        def measure_latents(case: ForecastCase) -> torch.Tensor:
            latents, true = self._latents(model, case)[0], self._encoded(case, "outcome")
            pairs = [part for one in (latents, true) for part in (one.var(), one.diff(dim=0).abs().mean())]
            return torch.stack(pairs).cpu().double()

        variance, motion, true_variance, true_motion = sum(self._shared(self.some, measure_latents)).tolist()
        ratio = (variance / max(true_variance, 1e-12)) ** 0.5
        return {"latents_ratio": ratio, "motion": motion / max(true_motion, 1e-12)}

    def _figures(self, rows: Sequence[Row], cases: Sequence[ForecastCase]) -> dict[str, dict[str, float]]:
        scores = make_scores(_SCORES)
        measured = self._shared(
            cases, lambda case: [result.values for result in measure(rows, [case], scores, show_progress=False)]
        )
        figures: dict[str, dict[str, float]] = {row.name: {} for row in rows}
        for place, row in enumerate(rows):
            for name, parts in measured[0][place].items():
                means = {part: torch.cat([one[place][name][part] for one in measured]).mean(dim=0) for part in parts}
                figures[row.name] |= {key: float(value.mean()) for key, value in scores[name].combine(means).items()}
        return figures

    def _shared(self, cases: Sequence[ForecastCase], function: Callable[[ForecastCase], Any]) -> list:
        """What `function` returns for each case; each process calls it for its share."""
        shares = [[function(case) for case in cases[self.rank :: self.world_size]]]
        if self.world_size > 1:
            shares = gather_object(shares)
        return [shares[number % self.world_size][number // self.world_size] for number in range(len(cases))]

    def _shown(self, count: int) -> list[int]:
        return np.linspace(0, self.some[0].num_frames - 1, count).round().astype(int).tolist()

    def _picture(self, model: nn.Module) -> Image.Image:
        """What happened, the mean of the samples and two samples."""
        case, shown = self.some[0], self._shown(min(_SHOWN_FRAMES, self.some[0].num_frames))
        members = self._predict(model)(case)[:, shown]
        rows = {"truth": case.futures[0, shown], "mean": self.processor.postprocess(members.mean(dim=0), "np")}
        for number, member in enumerate(members[:2]):
            rows[f"sample {number + 1}"] = self.processor.postprocess(member, "np")
        return image_grid(list(rows.values()), list(rows), scale=fitting_scale(rows["truth"][0], 192))
