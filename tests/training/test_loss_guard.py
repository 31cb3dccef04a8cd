"""Values that are not finite are named with their step; a loss that jumps raises an alarm."""

import pytest
import torch
from accelerate import Accelerator
from training_runs import reset_accelerate

from smoke_vq.training.loss_guard import FiniteGuard, SpikeAlarm


@pytest.fixture
def guard():
    reset_accelerate()
    yield FiniteGuard(Accelerator(cpu=True))
    reset_accelerate()


def losses(**values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


def test_finite_losses(guard):
    guard.note(losses(total=1.0, commitment=0.0), 1)
    guard.note_weights([torch.nn.Linear(2, 2)], 1)
    assert guard.describe() == ""


def test_the_first_step_and_its_losses_are_named(guard):
    guard.note(losses(total=1.0, commitment=2.0), 1)
    guard.note(losses(total=float("nan"), commitment=float("inf"), codebook=0.0), 2)
    guard.note(losses(total=float("nan"), commitment=2.0), 3)
    assert guard.describe() == "at step 2 (commitment, total)"


def test_the_process_of_a_loss_is_named(guard, monkeypatch):
    """The gradient is the same on all processes, the loss is not."""
    guard.note(losses(total=1.0, gradient_norm_model=float("nan")), 3)
    other = {"total": 3, "gradient_norm_model": 3, "commitment": 4}
    monkeypatch.setattr("smoke_vq.training.loss_guard.gather_object", lambda own: [*own, other])
    assert guard.describe() == "at step 3 (gradient_norm_model; total on process 1)"


def test_a_weight_that_is_not_finite(guard):
    network = torch.nn.Linear(2, 2)
    network.weight.data[0, 0] = float("nan")
    guard.note_weights([network], 8)
    assert guard.describe() == "at step 8 (weights)"


def test_a_gradient_overflow_of_fp16_is_left_to_the_scaler(guard):
    guard.note(losses(total=1.0, gradient_norm_model=float("inf")), 1)
    assert "gradient_norm_model" in guard.describe()
    guard.first, guard.accelerator.scaler = {}, object()
    guard.note(losses(total=1.0, gradient_norm_model=float("inf")), 1)
    assert guard.describe() == ""


def test_a_spike_is_said_once_until_the_loss_is_usual_again():
    alarm = SpikeAlarm()
    entries = [0.5] * 10 + [1.5, 2.5, 3.0, 0.5, 2.5]
    said = [bool(alarm.look(entry)) for entry in entries]
    assert said == [False] * 11 + [True, False, False, True]


def test_a_loss_that_falls_or_is_negative_is_no_spike():
    for entries in ([10.0 / step for step in range(1, 60)], [-1.0] * 12 + [5.0]):
        alarm = SpikeAlarm()
        assert not any(alarm.look(entry) for entry in entries)


def test_the_alarm_says_what_to_try():
    alarm = SpikeAlarm()
    said = [alarm.look(entry) for entry in [0.2] * 10 + [1.0]]
    assert said[-1].startswith("The loss has risen to 1, 5.0 times its median of the last 10 entries.")
    assert "--lr" in said[-1] and "--max-grad-norm" in said[-1]
