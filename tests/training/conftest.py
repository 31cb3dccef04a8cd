"""Fixtures of training_runs.py, and an accelerator."""

import pytest
import torch
from accelerate import Accelerator
from training_runs import (  # noqa: F401
    copied_run,
    data,
    finished_run,
    kill_after,
    objective,
    quick_revival,
    reset_accelerate,
    train,
    vgg16_weights,
)


@pytest.fixture
def accelerator():
    """An accelerator of one process with a small network, `accelerator.network`, and its optimizer."""
    reset_accelerate()
    accelerator = Accelerator(cpu=True)
    network = torch.nn.Linear(2, 2)
    accelerator.network, _ = accelerator.prepare(network, torch.optim.AdamW(network.parameters()))
    yield accelerator
    reset_accelerate()
