"""Figures of trained models, of image codecs and of thumbnails on the same frames."""

from pathlib import Path

from accelerate import Accelerator

from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.data.sources import load_frames
from smoke_vq.evaluation.codecs import rate_distortion_curves
from smoke_vq.evaluation.comparison import Comparison
from smoke_vq.evaluation.evaluator import EVALUATION_METRICS
from smoke_vq.losses.perceptual import LPIPS
from smoke_vq.metrics import Figure, make_metrics
from smoke_vq.metrics.pixel_grid import PERIODS, constant_frame_waves
from smoke_vq.models.auto import AutoAutoencoder
from smoke_vq.training import TrainingArguments

# Grey, cream and blue smoke.
COLOURS = [(0, 0, 0), *((level,) * 3 for level in (64, 128, 192, 255)), (230, 215, 180), (150, 170, 200)]
FIGURES = (
    Figure("bits", "size", "lower", ".0f", "bits", "of a frame, without file headers"),
    Figure("position_perplexity", "perplexity", "higher", ".1f", meaning="of all codes of a position together"),
    Figure("smoke_position_perplexity", "perplexity on smoke", "higher", ".1f", meaning="where there is smoke"),
    *(Figure(f"wave_{p}", f"wave of {p} pixels", "lower", ".2f", "levels", "on frames of one colour") for p in PERIODS),
    Figure("num_parameters", "parameters", None, ",d", meaning="of the whole model"),
    Figure("step_ratio", "time of a step", "lower", ".2f", meaning="relative to that of the first variant"),
)


class Measurements:
    """Measures on validation frames of a training, with the metrics of an evaluation and LPIPS (AlexNet).

    Args:
        max_frames: the largest number of frames, evenly spaced; None for all.
        alexnet_weights: safetensors file; None finds the weights as `LPIPS` does.

    Raises:
        ValueError, OSError: there are no such frames, or no weights of AlexNet.
    """

    def __init__(self, arguments: TrainingArguments, max_frames: int | None, alexnet_weights: str | None = None):
        self.accelerator, self.size = Accelerator(), arguments.recipe.model["sample_size"]
        distance = LPIPS("alex", alexnet_weights).to(self.accelerator.device)
        data = arguments.data
        sources, split = data.validation_sources, data.validation_split
        self.frames = load_frames(sources, split, self.size, resize=data.resize, max_frames=max_frames).pack()
        self.loader = FrameLoader(self.frames, SmokeImageProcessor(size=self.size), 64, device=self.accelerator.device)
        self.networks = {"lpips": {"functions": {"lpips_alex": distance}}}

    def model(self, folder: Path) -> dict[str, float | None]:
        """Figures of a saved model."""
        model = AutoAutoencoder.from_pretrained(folder).to(self.accelerator.device).eval()
        figures = self._comparison(*EVALUATION_METRICS, "lpips").measure_model(model).figures
        waves = constant_frame_waves(lambda x: model(x.to(self.accelerator.device)).sample, COLOURS, self.size)
        return figures | {
            "bits": 8 * figures["bytes_per_frame"],
            "position_perplexity": figures["perplexity"] ** model.quantizer.depth,
            "smoke_position_perplexity": figures["smoke_perplexity"] ** model.quantizer.depth,
            "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
            **{f"wave_{period}": level for period, level in waves.items()},
        }

    def codecs(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """Figures of each codec at each of its settings."""
        comparison = self._comparison("image", "lpips", "size")
        curves: dict[str, dict[str, dict[str, float | None]]] = {}
        for name, functions in rate_distortion_curves().items():
            curves[name] = {}
            for setting, function in functions.items():
                figures = comparison.measure(function).figures
                size = figures.get("payload_bytes_per_frame", figures["bytes_per_frame"])
                curves[name][setting] = figures | {"bits": 8 * size}
        return curves

    def _comparison(self, *names: str) -> Comparison:
        return Comparison(self.accelerator, self.loader, make_metrics(names, **self.networks))
