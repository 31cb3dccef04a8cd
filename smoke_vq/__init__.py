"""Discrete autoencoders for smoke plumes: 64x64 RGB frames to 8x8 grids of codes, and back.

Names are imported when they are first used: the models bring torch and diffusers, the image processor transformers, the
datasets pyarrow; a process that only decodes videos brings none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .assets import NANO_MODEL
from .version import __version__

if TYPE_CHECKING:
    from .data.processor import SmokeImageProcessor
    from .data.sources import load_frames
    from .models import AutoSmokeModel, PatchDiscriminator, SmokeVQGAN, SmokeVQVAE

_HOMES = {
    "AutoSmokeModel": ".models",
    "PatchDiscriminator": ".models",
    "SmokeImageProcessor": ".data.processor",
    "SmokeVQGAN": ".models",
    "SmokeVQVAE": ".models",
    "load_frames": ".data.sources",
}

__all__ = [
    "NANO_MODEL",
    "AutoSmokeModel",
    "PatchDiscriminator",
    "SmokeImageProcessor",
    "SmokeVQGAN",
    "SmokeVQVAE",
    "__version__",
    "load_frames",
]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
