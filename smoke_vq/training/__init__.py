"""Training in three ideas: players, an objective that makes them play, a trainer that knows no loss."""

from .adversarial import VQGANArguments, VQGANObjective
from .arguments import TrainingArguments
from .assemble import make_accelerator, make_evaluator, make_train_loader, use_all_cores
from .autoencoder import VQVAEArguments, VQVAEObjective
from .evaluator import ReconstructionEvaluator
from .parsing import check_arguments, parse_arguments
from .player import Player
from .trainer import Trainer

__all__ = [
    "Player",
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
    "make_train_loader",
    "parse_arguments",
    "use_all_cores",
]
