"""The pipeline from observed frames of a plume to predicted ones."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image

from ..assets import FORECAST_CARD
from ..checks import check_count
from ..data.clips import clip_values
from ..data.processor import SmokeImageProcessor
from ..flow_matching import SAMPLERS, rollout
from ..hub.card import CardText
from ..models.flow_transformer import SmokeFlowTransformer
from ..models.latent_projection import LatentProjection
from ..models.vqvae import SmokeVQVAE
from ..registry import choose
from ..tokens import LatentSpace
from .parts import check_parts
from .pretrained import PretrainedPipeline

_OUTPUTS = {
    "np": lambda sample: sample.numpy(),
    "pt": lambda sample: sample,
    "pil": lambda sample: _images(sample.numpy()),
}


@dataclass
class SmokeForecastPipelineOutput(BaseOutput):
    """
    frames: the predicted frames. S is the number of samples and T that of frames; all have a leading axis B if the
        observed frames had one. "np": (S, T, H, W, 3) uint8; "pt": (S, T, 3, H, W) in [-1, 1]; "pil": S lists of T
        images.
    """

    frames: np.ndarray | torch.Tensor | list


class SmokeForecastPipeline(PretrainedPipeline):
    """Predicts the next frames of a plume from observed ones, several times if its forecasts are random.

    Observed frames are encoded; the transformer predicts the latents of the next frames from those of the last
    observed ones; and these are decoded. Latents are normalized by the projection or, without one, by the
    autoencoder's `normalize_latents`.

    Args:
        autoencoder: a `SmokeVQVAE` or `SmokeVQGAN`.
        transformer: predicts latents; its configuration names the autoencoder and the projection by the SHA-256 of
            their weights.
        processor: converts frames.
        projection: to the transformer's channels and back; None for a transformer of all channels.

    Raises:
        ValueError: parts that were not trained with each other (see `check_parts`).
    """

    card_text = CardText(
        template=FORECAST_CARD,
        tags=("smoke", "plumes", "video-prediction", "flow-matching"),
        task_name="Forecast",
        reported=(),
    )
    _optional_components = ["projection"]  # noqa: RUF012  (diffusers' name and form)

    def __init__(
        self,
        autoencoder: SmokeVQVAE,
        transformer: SmokeFlowTransformer,
        processor: SmokeImageProcessor,
        projection: LatentProjection | None = None,
    ):
        super().__init__()
        check_parts(autoencoder, transformer, processor, projection)
        self.register_modules(
            autoencoder=autoencoder, transformer=transformer, processor=processor, projection=projection
        )

    @torch.no_grad()
    def __call__(
        self,
        frames: np.ndarray | torch.Tensor | list | str | os.PathLike,
        num_frames: int = 16,
        num_inference_steps: int = 10,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
        output_type: str = "np",
        sampler: str = "euler",
        quantize: bool = True,
        resize: bool = False,
        return_dict: bool = True,
    ) -> SmokeForecastPipelineOutput | tuple:
        """Predict the next frames.

        Args:
            frames: the observed frames in order of time, the last `transformer.config.num_previous` of which are used
                (all of them by a transformer with an earlier frame): (P, H, W, 3) uint8, a list of P images,
                pixel_values (P, 3, H, W) in [-1, 1], or the path of a video, of a folder of images or of a NumPy file.
                Or a batch of B clips: a leading axis, or a list of clips.
            num_frames: T, frames to predict.
            num_inference_steps: evaluations of the transformer, at most, for each `transformer.config.num_frames`
                frames. A transformer with the coupling "regression" always takes one.
            num_samples: S, forecasts of the same clip. 1 for a regression, whose forecasts would be equal.
            generator: of random numbers. The same seed gives the same frames.
            output_type: "np", "pt" or "pil".
            sampler: a name in `smoke_vq.flow_matching.SAMPLERS`.
            quantize: replace each predicted latent by its nearest code, with which the decoder was trained.
            resize: resize observed frames of another size, which are refused otherwise. All frames are square: others
                are distorted.

        Raises:
            ValueError: too few observed frames, another size, or another invalid argument; a forecast that is not
                finite.
            OSError: there is no such clip.
        """
        counts = {"num_frames": num_frames, "num_inference_steps": num_inference_steps, "num_samples": num_samples}
        for name, count in counts.items():
            check_count(name, count)
        convert = choose(_OUTPUTS, output_type, "output type")
        choose(SAMPLERS, sampler, "sampler")
        if num_samples > 1 and not self.transformer.coupling.is_random:
            raise ValueError(f"A regression has one forecast: num_samples expects 1, found {num_samples}.")
        pixel_values, batched = clip_values(frames, self.processor, resize)
        config = self.transformer.config
        if pixel_values.shape[1] < (least := config.num_previous + config.use_earlier_frame):
            raise ValueError(f"The forecaster needs {least} observed frames or more, found {pixel_values.shape[1]}.")
        if not config.use_earlier_frame:
            pixel_values = pixel_values[:, -config.num_previous :]
        space = LatentSpace(self.autoencoder, self.projection)
        past = space.encode(pixel_values.flatten(0, 1)).unflatten(0, pixel_values.shape[:2])
        past = past.to(self.transformer.dtype).repeat_interleave(num_samples, dim=0)
        latents = rollout(self.transformer, past, num_frames, num_inference_steps, sampler, generator)
        if not latents.isfinite().all():
            raise ValueError("The forecast is not finite: the transformer's latents hold NaN or infinity.")
        output = space.decode(latents.flatten(0, 1), quantize)
        if output_type != "pt":
            output = self.processor.to_images(output)
        output = output.unflatten(0, (-1, num_samples, num_frames))
        result = convert(output if batched else output[0])
        return SmokeForecastPipelineOutput(frames=result) if return_dict else (result,)


def _images(frames: np.ndarray) -> Any:
    """(..., H, W, 3) uint8 to nested lists of images."""
    return Image.fromarray(frames) if frames.ndim == 3 else [_images(part) for part in frames]
