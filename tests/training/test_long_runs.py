"""Runs that nobody watches: signals at any moment, full disks, batches that are not finite, steps that hang."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess

import pytest
from training_runs import FLAGS, ROOT, Killed, assert_same_run, fork, history

from smoke_vq import SmokeVQVAE, script
from smoke_vq.data.loader import FrameLoader
from smoke_vq.evaluation.evaluator import ReconstructionEvaluator
from smoke_vq.training import TrainingArguments, VQVAEArguments, VQVAEObjective, run_log
from smoke_vq.training.heartbeat import EXIT_STATUS, Heartbeat
from smoke_vq.training.nested_state import NestedState
from smoke_vq.training.recipes.quantizer_training import QuantizerTraining
from smoke_vq.training.run_folder import frames_per_step, keep_frames_per_step

# Signals


@pytest.mark.parametrize(
    ("owner", "method", "call", "stopped_at"),
    [
        (ReconstructionEvaluator, "validate", 1, 5),
        (ReconstructionEvaluator, "validate", 3, 15),  # after the last step
        (ReconstructionEvaluator, "evaluate", 1, 15),
        (ReconstructionEvaluator, "samples", 2, 5),  # after a validation
        (QuantizerTraining, "initialize", 1, 0),
        (SmokeVQVAE, "save_pretrained", 1, 5),
        (NestedState, "write", 1, 4),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_stops_the_run_and_loses_nothing(
    train, tmp_path, finished_run, monkeypatch, owner, method, call, stopped_at, number
):
    calls, real = [], getattr(owner, method)

    def signalled(self, *args, **kwargs):
        calls.append(method)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, signalled)
        ended = train("--checkpoint-in-background false")
    assert ended.code == 130 and ended.err.rstrip().endswith("Stopped."), ended.err
    assert f"Stopped at step {stopped_at} of 15. Continue with the same command" in ended.out
    resumed = train("--resume")
    assert resumed.code == 0, resumed.err
    assert_same_run(tmp_path / "run", finished_run)


def test_sigterm_before_the_training_ends_the_command(train, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "smoke_vq.training.builders.load_frames", lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGTERM)
    )
    ended = train()
    assert ended.code == 130 and ended.err.rstrip().endswith("Stopped.") and not (tmp_path / "run").exists()


# Signs of life


def test_the_heartbeat_of_a_finished_run(finished_run):
    beat = json.loads((finished_run / "heartbeat.json").read_text())
    assert (beat["step"], beat["num_steps"], beat["phase"], beat["pid"]) == (15, 15, "finished", os.getpid())
    assert beat["time"].endswith("+00:00")


def test_steps_are_recorded_at_intervals_and_phases_at_once(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("smoke_vq.training.heartbeat.time.monotonic", lambda: now)
    heartbeat = Heartbeat(tmp_path / "heartbeat.json", 50)
    seen = []
    for step, phase, seconds in ((1, "training", 0), (2, "training", 3), (3, "validation", 3), (4, "training", 11)):
        now = 100.0 + seconds
        heartbeat.beat(step, phase)
        seen.append(json.loads((tmp_path / "heartbeat.json").read_text())["step"])
    assert seen == [1, 1, 3, 4] and [path.name for path in tmp_path.iterdir()] == ["heartbeat.json"]


# Runs a script whose process RANK_THAT_FAILS hangs in, or is killed or raises an error before, its third step.
FAULTY = """
import os, runpy, sys, time
from smoke_vq.training import VQVAEObjective

what, sys.argv = sys.argv[1], sys.argv[2:]
real = VQVAEObjective.begin_step

def begin_step(self, batches, step):
    if step == 3 and os.environ.get("RANK", "0") == os.environ["RANK_THAT_FAILS"]:
        if what == "hang":
            time.sleep(600)
        if what == "kill":
            os.kill(os.getpid(), 9)
        raise ValueError("The sensor is broken.")
    real(self, batches, step)

VQVAEObjective.begin_step = begin_step
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("what", "processes", "message"),
    [
        ("hang", 1, "error: Step 3 of 30 has not finished within 4 seconds (--hang-timeout)."),
        ("hang", 2, "error: Step 3 of 15 has not finished within 4 seconds (--hang-timeout)."),
        ("raise", 2, "error: The sensor is broken."),
        ("kill", 2, "SIGKILL"),
    ],
)
def test_a_process_that_fails_ends_all_of_them(data, tmp_path, what, processes, message):
    driver = tmp_path / "driver.py"
    driver.write_text(FAULTY)
    flags = f"--dataset {data} --output-dir {tmp_path} {FLAGS} --batch-size 4 --hang-timeout 4"
    words = [driver, what, ROOT / "scripts/train_vqvae.py", *flags.split()]
    failing = {"check": False, "RANK_THAT_FAILS": str(processes - 1)}
    if what == "hang":  # each process ends itself, within the 240 seconds of `fork`
        ended = fork(words, processes=processes, **failing)
    else:  # torchrun ends the others
        torchrun = f"-m torch.distributed.run --standalone --nproc_per_node={processes}"
        if what == "raise":  # of processes that it forks, it may name the one that lost a killed one
            torchrun += " --run-path --start-method fork"
        ended = fork([*torchrun.split(), *words], **failing)
    assert ended.code != 0 and message in ended.err, ended.err[-3000:]
    if what == "hang":
        assert "time.sleep" in ended.err or "begin_step" in ended.err  # the place where it hangs
        assert processes > 1 or ended.code == EXIT_STATUS


# Disks


def test_a_disk_that_fills_ends_in_one_sentence_with_the_last_good_checkpoint(
    train, tmp_path, finished_run, monkeypatch
):
    real = NestedState.write

    def full(self, path):
        if "checkpoint-00000012" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(NestedState, "write", full)
        ended = train()
    assert ended.code == 2 and "Traceback" not in ended.err
    last = tmp_path / "run/checkpoints/checkpoint-00000010"
    assert ended.err.rstrip().splitlines()[-1] == (
        f"error: The checkpoint of step 12 cannot be written: [Errno 28] No space left on device. The last good "
        f"checkpoint is {last}; continue with --resume-from-checkpoint latest."
    )
    assert not list((tmp_path / "run").rglob("*.partial"))
    assert train("--resume").code == 0
    assert_same_run(tmp_path / "run", finished_run)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=False).returncode != 0:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_file_system_that_is_full(train, data, small_disk, finished_run, monkeypatch):
    real = run_log.History.add

    def fill(self, step, figures):
        real(self, step, figures)
        if step == 9:
            with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
                while file.write(bytes(1000)):
                    pass

    with monkeypatch.context() as patch:
        patch.setattr(run_log.History, "add", fill)
        ended = train(f"--output-dir {small_disk}")
    last = small_disk / "run/checkpoints/checkpoint-00000008"
    assert ended.code == 2 and "Traceback" not in ended.err
    # Either the file system refuses a write, or the check before it finds too little.
    found = rf"No space left on device(: {small_disk}\S* needs [1-9]\S*B, found \S+B free)?\. "
    goes_on = f"The last good checkpoint is {last}; continue with --resume-from-checkpoint latest.\n"
    assert re.search(found + re.escape(goes_on) + "$", ended.err)
    assert not list(small_disk.rglob("*.partial"))
    (small_disk / "filler").unlink()
    assert train(f"--output-dir {small_disk} --resume").code == 0
    assert_same_run(small_disk / "run", finished_run)


def test_an_export_that_cannot_be_written_keeps_the_best_model(train, tmp_path, monkeypatch):
    real, calls = SmokeVQVAE.save_pretrained, []

    def full(self, folder, **kwargs):
        calls.append(folder)
        real(self, folder, **kwargs)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(SmokeVQVAE, "save_pretrained", full)
        ended = train("--checkpoint-in-background false")
    assert ended.code == 2 and "No space left on device" in ended.err and "The last good checkpoint is" in ended.err
    assert json.loads((tmp_path / "run/best/validation.json").read_text())["step"] == 5
    assert not list((tmp_path / "run").glob("*.partial"))


def test_a_run_that_will_not_fit_is_refused_before_the_first_step(train, tmp_path, monkeypatch):
    from smoke_vq import disk_space

    real = disk_space.shutil.disk_usage
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: real(path)._replace(free=1000))
    ended = train()
    assert ended.code == 2 and not (tmp_path / "run").exists()
    assert "for 2 checkpoints and the models of the run, found 1.00kB free" in ended.err


def test_samples_that_cannot_be_written_do_not_end_the_run(train, tmp_path, finished_run, monkeypatch):
    def full(self, step, frames, targets):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "samples.png")

    monkeypatch.setattr(run_log.SampleSheet, "add", full)
    ended = train()
    assert ended.code == 0, ended.err
    assert "The samples of step 10 were not written: [Errno 30] Read-only file system: 'samples.png'" in ended.out
    assert_same_run(tmp_path / "run", finished_run)


def test_what_a_kill_has_left_is_deleted_at_the_next_start(train, copied_run):
    for name in ("best.partial", ".best-x1y2", "checkpoints/checkpoint-00000016.partial"):
        (copied_run / name / "model").mkdir(parents=True)
    (copied_run / "heartbeat.partial").write_text("{")
    assert train("--resume").code == 0
    assert not [*copied_run.rglob("*.partial"), *copied_run.glob(".best-*")]


def test_a_tracker_that_does_not_start_is_one_sentence_before_the_first_step(train, tmp_path, monkeypatch):
    class UsageError(Exception):
        """As wandb raises without a login."""

    def refuse(self, *args, **kwargs):
        raise UsageError("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setattr("accelerate.Accelerator.init_trackers", refuse)
    ended = train("--report-to tensorboard")
    assert ended.code == 2 and "Traceback" not in ended.err and not (tmp_path / "run").exists()
    assert "error: The tracker tensorboard does not start: No API key configured. Use `wandb login`" in ended.err


# Batches that are not finite


@pytest.fixture
def bad_batches(monkeypatch):
    """A function (steps) that replaces the pixels of these steps by NaN."""
    real = VQVAEObjective.begin_step

    def arm(*steps: int):
        def begin_step(self, batches, step):
            for batch in batches:
                batch["pixel_values"] += float("nan") if step in steps else 0
            real(self, batches, step)

        monkeypatch.setattr(VQVAEObjective, "begin_step", begin_step)

    return arm


@pytest.mark.parametrize("quantizer", ["vq", "ema"])
def test_steps_whose_gradient_is_not_finite_are_left_out_by_choice(
    train, tmp_path, quick_revival, bad_batches, kill_after, quantizer
):
    flags = f"--max-skipped-steps 3 --model.quantizer_type {quantizer}"
    bad_batches(6, 7, 12)
    assert train(f"{flags} --run-name uninterrupted").code == 0
    kill_after(11)
    with pytest.raises(Killed):
        train(flags)
    kill_after(None)
    resumed = train(f"{flags} --resume")
    assert resumed.code == 0, resumed.err
    assert "The gradient of step 12 is not finite: the step is left out (3 so far)." in resumed.out
    assert_same_run(tmp_path / "run", tmp_path / "uninterrupted")
    steps = {step for step, *_ in history(tmp_path / "run")}
    assert steps == set(range(1, 16)) - {6, 7, 12}


def test_one_step_too_many_ends_the_run(train, bad_batches):
    bad_batches(3, 6, 7)
    ended = train("--max-skipped-steps 2 --checkpoint-in-background false")
    assert ended.code == 2
    assert "The loss was not a finite number at step 7 (" in ended.err and "gradient_norm_model" in ended.err
    assert "checkpoint-00000005; continue with --resume-from-checkpoint latest and a lower --lr" in ended.err


# Other numbers of processes


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "processes"),
    [(8, 1, 2), (4, 2, 2), (8, 1, 4), (6, 4, 3), (5, 2, 1), (5, 2, 2), (8, 1, 8)],
)
def test_a_step_has_the_same_frames_on_another_number_of_processes(
    tmp_path, tiny_frames, monkeypatch, batch_size, accumulation, processes
):
    arguments = TrainingArguments.build(
        VQVAEArguments,
        dataset="blobs",
        batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        output_dir=str(tmp_path),
        resume_from_checkpoint="latest",
    )
    checkpoint = tmp_path / "run/checkpoints/checkpoint-00000001"
    checkpoint.mkdir(parents=True)
    frames = frames_per_step(arguments, 1)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"frames_per_step": frames, "num_processes": 1}))

    def steps(processes: int) -> list[set[int]]:
        size, parts = arguments.data.batch_size, arguments.optimization.gradient_accumulation_steps
        found: list[set[int]] = []
        for rank in range(processes):
            loader = FrameLoader(tiny_frames, None, size, shuffle=True, rank=rank, world_size=processes, seed=3)
            rows = loader.rows(epoch=1)
            for step in range(len(rows) // parts):
                found += [set()] if step == len(found) else []
                found[step] |= {row for batch in rows[step * parts : (step + 1) * parts] for row in batch}
        return found

    alone = steps(1)
    sentence = keep_frames_per_step(arguments, processes)
    assert ("a step still has" in sentence) == (processes > 1)
    assert frames_per_step(arguments, processes) == frames and arguments.data.batch_size <= batch_size
    assert steps(processes) == alone and len(alone) == 24 // frames


def test_frames_that_cannot_be_shared_are_refused(tmp_path):
    arguments = TrainingArguments.build(
        VQVAEArguments, dataset="blobs", batch_size=8, output_dir=str(tmp_path), resume_from_checkpoint="latest"
    )
    checkpoint = tmp_path / "run/checkpoints/checkpoint-00000001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"frames_per_step": 8, "num_processes": 2}))
    with pytest.raises(ValueError, match="has 8 frames, which cannot be divided among 3 processes: expected a number"):
        keep_frames_per_step(arguments, 3)


def test_a_pool_of_a_command_ends_at_sigterm():
    """A handler in Python can miss a signal before a wait, and the pool would wait for its process for ever."""
    seen = []

    def main() -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, str(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL).encode())
            os._exit(0)
        os.waitpid(child, 0)
        seen.append((os.read(reader, 9), signal.getsignal(signal.SIGTERM) == signal.SIG_DFL))

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        script.run(main)
        assert seen == [(b"True", False)] and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
