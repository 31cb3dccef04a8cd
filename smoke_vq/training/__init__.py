"""Training: players (networks that learn), an objective per recipe (their losses), and a trainer for all recipes."""

from ..evaluation.evaluator import ReconstructionEvaluator
from .arguments import RecipeArguments, TrainingArguments, option
from .builders import make_accelerator, make_evaluator, make_publisher, make_train_loader
from .objective import Evaluator, Objective
from .parsing import check_arguments, parse_arguments
from .player import Player
from .recipes.flow_matching import FlowMatchingArguments, FlowMatchingObjective
from .recipes.latent_projection import LatentProjectionArguments, LatentProjectionObjective
from .recipes.vqgan import VQGANArguments, VQGANObjective
from .recipes.vqvae import VQVAEArguments, VQVAEObjective
from .trainer import Trainer

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
