"""Training: players (networks that learn), an objective per recipe (their losses), and a trainer for all recipes.

Names are imported when they are first used: arguments are read and checked before torch and diffusers are loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..evaluation.evaluator import ReconstructionEvaluator
    from .arguments import RecipeArguments, TrainingArguments, option
    from .builders import make_accelerator, make_evaluator, make_publisher, make_train_loader
    from .objective import Evaluator, Objective
    from .parsing import check_arguments, parse_arguments
    from .player import Player
    from .recipes.arguments import (
        FlowMatchingArguments,
        LatentProjectionArguments,
        VQGANArguments,
        VQVAEArguments,
    )
    from .recipes.flow_matching import FlowMatchingObjective
    from .recipes.latent_projection import LatentProjectionObjective
    from .recipes.vqgan import VQGANObjective
    from .recipes.vqvae import VQVAEObjective
    from .trainer import Trainer

_NAMES = {
    "..evaluation.evaluator": ["ReconstructionEvaluator"],
    ".arguments": ["RecipeArguments", "TrainingArguments", "option"],
    ".builders": ["make_accelerator", "make_evaluator", "make_publisher", "make_train_loader"],
    ".objective": ["Evaluator", "Objective"],
    ".parsing": ["check_arguments", "parse_arguments"],
    ".player": ["Player"],
    ".recipes.arguments": [
        *("FlowMatchingArguments", "LatentProjectionArguments", "VQGANArguments", "VQVAEArguments"),
    ],
    ".recipes.flow_matching": ["FlowMatchingObjective"],
    ".recipes.latent_projection": ["LatentProjectionObjective"],
    ".recipes.vqgan": ["VQGANObjective"],
    ".recipes.vqvae": ["VQVAEObjective"],
    ".trainer": ["Trainer"],
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Evaluator",
    "FlowMatchingArguments",
    "FlowMatchingObjective",
    "LatentProjectionArguments",
    "LatentProjectionObjective",
    "Objective",
    "Player",
    "RecipeArguments",
    "ReconstructionEvaluator",
    "Trainer",
    "TrainingArguments",
    "VQGANArguments",
    "VQGANObjective",
    "VQVAEArguments",
    "VQVAEObjective",
    "check_arguments",
    "make_accelerator",
    "make_evaluator",
    "make_publisher",
    "make_train_loader",
    "option",
    "parse_arguments",
]


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(import_module(_MODULES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
