"""Signals, step counts and records of the trainer."""

import json
import signal
import time

import pytest
from training_runs import reset_accelerate

from smoke_vq.training import Trainer
from smoke_vq.training.arguments import OptimizationArguments
from smoke_vq.training.run_log import History
from smoke_vq.training.stop_signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_does_not_interrupt(number, capfd):
    before = signal.getsignal(number)
    signals = StopSignals()
    with signals:
        assert not signals.received
        signal.raise_signal(number)
        assert signals.received
    assert signal.getsignal(number) is before
    assert "Stopping after this step" in capfd.readouterr().err


def test_a_ctrl_c_forwarded_by_the_launcher_is_ignored():
    signals = StopSignals()
    with signals:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signals.received


def test_a_second_ctrl_c_interrupts_at_once(monkeypatch):
    signals = StopSignals()
    with pytest.raises(KeyboardInterrupt), signals:
        signal.raise_signal(signal.SIGINT)
        now = time.monotonic()
        monkeypatch.setattr("smoke_vq.training.trainer.time.monotonic", lambda: now + 3)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("batches", "accumulation", "steps"), [(10, 1, 30), (10, 3, 9), (3, 3, 3)])
def test_steps_of_a_training(batches, accumulation, steps):
    arguments = OptimizationArguments(epochs=3, gradient_accumulation_steps=accumulation)
    assert Trainer.count_steps(arguments, range(batches)) == steps


def test_max_steps_take_precedence_over_epochs():
    assert Trainer.count_steps(OptimizationArguments(epochs=3, max_steps=100), range(10)) == 100


def test_an_epoch_shorter_than_a_step_is_refused():
    with pytest.raises(ValueError, match="An epoch of 2 batches is shorter than one step of 3 micro-batches"):
        Trainer.count_steps(OptimizationArguments(gradient_accumulation_steps=3), range(2))


@pytest.fixture
def history(tmp_path):
    from accelerate import Accelerator

    reset_accelerate()
    yield History(tmp_path / "history.jsonl", Accelerator(cpu=True))
    reset_accelerate()


def test_history_is_truncated_to_a_checkpoint(history):
    history.add(1, {"train/total": 0.1})
    size = history.size
    history.add(1, {"validation/psnr": 3.0})
    with history.path.open("a") as file:
        file.write('{"step": 2, "tra')
    history.truncate(size)
    assert [json.loads(line) for line in history.path.read_text().splitlines()] == [{"step": 1, "train/total": 0.1}]
    history.truncate(0)
    assert history.path.read_text() == "" and history.size == 0


def test_a_shortened_history_keeps_complete_lines(history):
    """As after a power failure: the checkpoint was synced, and the history was not."""
    history.add(1, {"train/total": 0.1})
    history.add(2, {"train/total": 0.2})
    size = history.size
    history.path.write_bytes(history.path.read_bytes()[:-5])
    history.truncate(size)
    assert [json.loads(line)["step"] for line in history.path.read_text().splitlines()] == [1]


def test_losses_keep_every_bit_in_the_history(history):
    value = 0.1 + 0.2 + 1e-17
    history.add(1, {"train/total": value})
    assert json.loads(history.path.read_text())["train/total"] == value
