"""Discrete autoencoders for smoke plumes: 64x64 RGB frames to 8x8 grids of codes, and back.

Importing this package loads torch and the part of diffusers that the models need. The image processor (transformers)
and the datasets (pyarrow) are loaded when their names are first used.
"""

from importlib import import_module

from .models import SmokeVQGAN, SmokeVQVAE
from .version import __version__

_LAZY = {"SmokeImageProcessor": "smoke_vq.data.processor", "load_frames": "smoke_vq.data.loading"}

__all__ = ["SmokeImageProcessor", "SmokeVQGAN", "SmokeVQVAE", "__version__", "load_frames"]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
