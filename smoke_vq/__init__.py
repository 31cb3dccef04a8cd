"""Discrete autoencoders for smoke plumes: 64x64 RGB frames to 8x8 grids of codes, and back.

Names are imported when they are first used: `import smoke_vq` alone loads neither torch nor diffusers, and a process
that only decodes videos never does.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .assets import NANO_FORECASTER, NANO_MODEL, NANO_SHARP, NANO_VQGAN
from .version import __version__

if TYPE_CHECKING:
    from diffusers import ModelMixin
    from transformers.image_processing_base import ImageProcessingMixin

    from .data.processor import SmokeImageProcessor
    from .data.sources import load_frames
    from .losses import (
        LPIPS,
        LeCAM,
        PerceptualLoss,
        adaptive_weight,
        generator_loss,
        hinge_discriminator_loss,
        masked_mse,
    )
    from .models import (
        AutoSmokeModel,
        LatentProjection,
        LatentProjectionOutput,
        PatchDiscriminator,
        PretrainedModel,
        SmokeFlowTransformer,
        SmokeFlowTransformerOutput,
        SmokeVQGAN,
        SmokeVQVAE,
        SmokeVQVAEEncoderOutput,
        SmokeVQVAEOutput,
    )
    from .pictures import image_grid
    from .pipelines import SmokeForecastPipeline, SmokeForecastPipelineOutput
    from .quantizers import QUANTIZERS, Quantizer, QuantizerOutput
    from .simulation import PlumeSettings, simulate_futures, simulate_plumes

_NAMES = {
    ".data.processor": ["SmokeImageProcessor"],
    ".data.sources": ["load_frames"],
    ".losses": [
        *("LPIPS", "LeCAM", "PerceptualLoss", "adaptive_weight"),
        *("generator_loss", "hinge_discriminator_loss", "masked_mse"),
    ],
    ".models": [
        *("AutoSmokeModel", "LatentProjection", "LatentProjectionOutput", "PatchDiscriminator", "PretrainedModel"),
        *(
            "SmokeFlowTransformer",
            "SmokeFlowTransformerOutput",
            "SmokeVQGAN",
            "SmokeVQVAE",
            "SmokeVQVAEEncoderOutput",
            "SmokeVQVAEOutput",
        ),
    ],
    ".pictures": ["image_grid"],
    ".pipelines": ["SmokeForecastPipeline", "SmokeForecastPipelineOutput"],
    ".quantizers": ["QUANTIZERS", "Quantizer", "QuantizerOutput"],
    ".simulation": ["PlumeSettings", "simulate_futures", "simulate_plumes"],
    # A diffusers pipeline looks for these two in the library that it loads a part from.
    "diffusers": ["ModelMixin"],
    "transformers.image_processing_base": ["ImageProcessingMixin"],
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "LPIPS",
    "NANO_FORECASTER",
    "NANO_MODEL",
    "NANO_SHARP",
    "NANO_VQGAN",
    "QUANTIZERS",
    "AutoSmokeModel",
    "ImageProcessingMixin",
    "LatentProjection",
    "LatentProjectionOutput",
    "LeCAM",
    "ModelMixin",
    "PatchDiscriminator",
    "PerceptualLoss",
    "PlumeSettings",
    "PretrainedModel",
    "Quantizer",
    "QuantizerOutput",
    "SmokeFlowTransformer",
    "SmokeFlowTransformerOutput",
    "SmokeForecastPipeline",
    "SmokeForecastPipelineOutput",
    "SmokeImageProcessor",
    "SmokeVQGAN",
    "SmokeVQVAE",
    "SmokeVQVAEEncoderOutput",
    "SmokeVQVAEOutput",
    "__version__",
    "adaptive_weight",
    "generator_loss",
    "hinge_discriminator_loss",
    "image_grid",
    "load_frames",
    "masked_mse",
    "simulate_futures",
    "simulate_plumes",
]


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(import_module(_MODULES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
