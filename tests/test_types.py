"""A type checker holds the recipes against `Objective`, and the evaluator against `Evaluator`."""

import subprocess
import sys
from pathlib import Path

from smoke_vq.evaluation.evaluator import ReconstructionEvaluator
from smoke_vq.training import Evaluator, Objective, VQGANObjective, VQVAEObjective


def takes_both(objective: Objective, evaluator: Evaluator) -> None: ...


def both_recipes_fit(vqvae: VQVAEObjective, vqgan: VQGANObjective, evaluator: ReconstructionEvaluator) -> None:
    takes_both(vqvae, evaluator)
    takes_both(vqgan, evaluator)


def test_the_type_checker_finds_no_errors():
    root = Path(__file__).resolve().parent.parent
    checked = subprocess.run([sys.executable, "-m", "mypy"], cwd=root, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
