"""A resumed run equals an uninterrupted one to the last bit; a changed run is refused."""

import json
import shutil

import pytest
import yaml
from PIL import Image
from training_runs import FLAGS, SIZE, Killed, assert_same_run, history, run, signalled, smoke, weights

from smoke_vq import SmokeVQVAE
from smoke_vq.downloads.checksums import digest
from smoke_vq.training.checkpoint import list_checkpoints
from smoke_vq.training.renamed import RENAMED

MANY_CODES = "--model.num_vq_embeddings 128"  # more than are needed, so that some die


@pytest.mark.parametrize(
    ("number", "step", "code", "resumes_from"),
    [
        ("SIGKILL", 11, -9, 10),  # in the third epoch, after the checkpoint of the second
        ("SIGINT", 7, 130, 7),  # in the middle of an epoch
        ("SIGTERM", 5, 130, 5),  # after the last step of an epoch, before its validation
    ],
)
def test_killed_or_interrupted(train, data, tmp_path, quick_revival, number, step, code, resumes_from):
    assert train(f"--run-name uninterrupted {MANY_CODES}").code == 0
    # A kill while a checkpoint is written would leave the one before it.
    flags = f"--dataset {data} --output-dir {tmp_path} {FLAGS} {MANY_CODES} --checkpoint-in-background false"
    interrupted = signalled("train_vqvae.py", flags, number, step)
    assert interrupted.code == code, interrupted.err
    folder = tmp_path / "run"
    if number == "SIGKILL":
        with (folder / "history.jsonl").open("a") as file:
            file.write('{"step": 12, "train/to')  # an incomplete line, as after a kill
    else:
        assert (
            f"Stopped at step {step} of 15. Continue with the same command and --resume-from-checkpoint latest."
            in interrupted.out
        )
        assert "Traceback" not in interrupted.err and interrupted.err.rstrip().endswith("Stopped.")
    resumed = train(f"--resume {MANY_CODES}")
    assert resumed.code == 0, resumed.err
    assert f"checkpoint-{resumes_from:08d}, step {resumes_from} of 15" in resumed.out
    assert_same_run(folder, tmp_path / "uninterrupted")


@pytest.mark.parametrize("step", [1, 3])
def test_killed_before_the_first_checkpoint_starts_again(train, tmp_path, finished_run, kill_after, step):
    kill_after(step)
    with pytest.raises(Killed):
        train()
    kill_after(None)
    resumed = train("--resume")
    assert resumed.code == 0 and "has no checkpoint yet: starting from the first step" in resumed.out
    assert_same_run(tmp_path / "run", finished_run)


@pytest.mark.parametrize(
    "flags",
    [
        "--gradient-accumulation-steps 2 --batch-size 4",
        "--ema-decay 0",
        "--continuous-steps 4",  # the codebook is initialized after the checkpoint, from frames that were not kept
        "--continuous-steps 9",
        "--logging-steps 3",
        "--checkpointing-steps 5",
        "--validation-epochs 2",
        "--mixed-precision bf16",
        "--optimizer muon --smoke-sampling 0.5",
        '--model.quantizer_type ema --model.quantizer_kwargs {"search_dim":4,"cosine":true,"gradient":"rotation"}',
    ],
)
def test_interrupted_and_resumed_with(train, tmp_path, quick_revival, kill_after, flags):
    flags = f"{flags} {MANY_CODES}"
    assert train(f"--run-name uninterrupted {flags}").code == 0
    kill_after(12 if "--logging-steps 3" in flags else 11)
    with pytest.raises(Killed):
        train(flags)
    kill_after(None)
    resumed = train(f"--resume {flags}")
    assert resumed.code == 0, resumed.err
    assert_same_run(tmp_path / "run", tmp_path / "uninterrupted")


def test_revival_happens_in_these_runs(train, tmp_path, quick_revival, monkeypatch):
    """Otherwise their equality would not test it."""
    from smoke_vq.training.recipes.codebook_health import CodebookHealth

    def end_step(self, step):
        real(self, step)
        revived[step] = self.num_revived

    real, revived = CodebookHealth.end_step, {}
    monkeypatch.setattr(CodebookHealth, "end_step", end_step)
    assert train(MANY_CODES).code == 0
    assert revived[12] > revived[11] > 0  # step 12 is after the checkpoints that are resumed


@pytest.fixture
def parquet(write_dataset, rows):
    return write_dataset("smoke", {"train": rows(40), "validation": rows(10, seed=1)})


def test_interrupted_and_resumed_from_files(train, parquet, tmp_path, kill_after):
    flags = f"--dataset {parquet} --packed false --dataloader-num-workers 1"
    assert train(f"--run-name uninterrupted {flags}").code == 0
    kill_after(12)
    with pytest.raises(Killed):
        train(flags)
    kill_after(None)
    resumed = train(f"--resume {flags}")
    assert resumed.code == 0, resumed.err
    assert_same_run(tmp_path / "run", tmp_path / "uninterrupted")


def test_packed_and_decoded_frames_give_the_same_losses(train, parquet, tmp_path):
    for name in ("true", "false"):
        assert (
            train(f"--dataset {parquet} --packed {name} --dataloader-num-workers 0 --run-name {name} --epochs 1").code
            == 0
        )
    assert history(tmp_path / "true") == history(tmp_path / "false")


def test_killed_during_a_validation(train, tmp_path, finished_run, kill_after, monkeypatch):
    """Between the record of a validation and its checkpoint: the record is not written twice."""
    from smoke_vq.training.trainer import Trainer

    def die(self):
        if self.step == 10:
            raise Killed
        record(self)

    record = Trainer._record_samples
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_record_samples", die)
        with pytest.raises(Killed):
            train()
    assert train("--resume").code == 0
    assert_same_run(tmp_path / "run", finished_run)


def test_a_finished_run_can_be_resumed(train, copied_run, finished_run):
    ended = train("--resume")
    assert ended.code == 0, ended.err
    assert_same_run(copied_run, finished_run)
    assert (copied_run / "best/metrics.json").read_text() == (finished_run / "best/metrics.json").read_text()


def test_a_finished_run_can_be_extended(train, copied_run, finished_run):
    ended = train("--resume --epochs 4")
    assert ended.code == 0, ended.err
    assert "Continuing with epochs = 4, which was 3." in ended.out
    assert history(copied_run)[: len(history(finished_run))] == history(finished_run)
    assert max(step for step, *_ in history(copied_run)) == 20


def test_more_steps_continue_in_the_middle_of_the_epoch(train, tmp_path):
    """7 steps at 5 per epoch, then up to 10: the frames are those of a run of 10 steps."""
    constant = "--lr-scheduler constant --revival-steps 0"
    assert train(f"{constant} --max-steps 10 --run-name uninterrupted").code == 0
    assert train(f"{constant} --max-steps 7").code == 0
    assert train(f"{constant} --max-steps 10 --resume").code == 0
    assert history(tmp_path / "run") == history(tmp_path / "uninterrupted")
    assert weights(tmp_path / "run/last") == weights(tmp_path / "uninterrupted/last")


def test_the_best_model_survives_a_kill_and_an_older_checkpoint(train, copied_run):
    """best/ may be newer than the last checkpoint; its figures are read from its folder."""
    for checkpoint in list_checkpoints(copied_run / "checkpoints")[1:]:
        shutil.rmtree(checkpoint)
    best = json.loads((copied_run / "best/validation.json").read_text())
    assert best["step"] == 15
    before = weights(copied_run / "best")
    ended = train("--resume --lr 0 --max-steps 13")
    assert ended.code == 0, ended.err
    assert json.loads((copied_run / "best/validation.json").read_text()) == best
    assert weights(copied_run / "best") == before and "Best model (step 15)" in ended.out


@pytest.mark.parametrize("moment", range(8))
def test_killed_during_an_export_leaves_a_best_model(train, copied_run, monkeypatch, moment):
    """A kill at the replacement or deletion of any file."""
    from pathlib import Path

    calls, replace, unlink = [], Path.replace, Path.unlink

    def counted(real):
        def move(self, *args, **kwargs):
            if copied_run in self.parents and self.parent.name.startswith("best"):
                calls.append(self)
                if len(calls) > moment:
                    raise Killed
            return real(self, *args, **kwargs)

        return move

    (copied_run / "best/validation.json").write_text(json.dumps({"step": 1, "masked_mse": 99.0}))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted(replace))
        patch.setattr(Path, "unlink", counted(unlink))
        with pytest.raises(Killed):
            train("--resume --epochs 4")
    SmokeVQVAE.from_pretrained(copied_run / "best")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--seed 1", "had seed = 0 and cannot continue with 1: restore the old value, or start a new run"),
        ("--batch-size 4", "A step of the run in {folder} has 8 frames and cannot continue with 4: restore batch_size"),
        ("--model.latent_channels 4", "had model = "),
    ],
)
def test_another_run_is_not_resumed(train, copied_run, flags, message):
    before = {path: path.stat().st_mtime_ns for path in copied_run.rglob("*")}
    ended = train(f"--resume {flags}")
    assert ended.code == 2 and message.format(folder=copied_run) in ended.err
    assert {path: path.stat().st_mtime_ns for path in copied_run.rglob("*")} == before


def test_a_requeued_job_starts_from_the_first_step_if_there_is_no_checkpoint(train, tmp_path, finished_run):
    """The command of a cluster job can then be the same each time."""
    ended = train("--resume-from-checkpoint latest")
    assert ended.code == 0 and "run has no checkpoint yet: starting from the first step" in ended.out
    assert_same_run(tmp_path / "run", finished_run)


def test_what_a_user_changes_after_running_out_of_memory_may_change(train, tmp_path, kill_after):
    kill_after(11)
    with pytest.raises(Killed):
        train()
    kill_after(None)
    ended = train("--resume-from-checkpoint latest --gradient-checkpointing true --num-images 2")
    assert ended.code == 0, ended.err
    assert "Continuing with gradient_checkpointing = True, which was False." in ended.out
    assert Image.open(tmp_path / "run/samples/step-00000010.png").width == 3 * SIZE
    assert Image.open(tmp_path / "run/samples/step-00000015.png").width == 2 * SIZE


def test_a_named_checkpoint_is_resumed_and_later_ones_are_renamed(train, copied_run, finished_run):
    ended = train("--resume-from-checkpoint checkpoint-00000012")
    assert ended.code == 0 and "checkpoint-00000012, step 12 of 15" in ended.out, ended.err
    assert (copied_run / "checkpoints/checkpoint-00000015.abandoned").is_dir()
    assert_same_run(copied_run, finished_run)
    ended = train("--resume-from-checkpoint checkpoint-00000001")
    assert ended.code == 2 and "has no checkpoint 'checkpoint-00000001': expected one of ['latest', " in ended.err
    again = train(f"--resume-from-checkpoint {copied_run}/checkpoints/checkpoint-00000012/")
    assert again.code == 0, again.err  # although checkpoint-00000015.abandoned exists
    assert_same_run(copied_run, finished_run)


def test_a_checkpoint_of_another_run_is_not_taken_for_one_of_this_run(train, copied_run, finished_run):
    ended = train(f"--resume-from-checkpoint {finished_run}/checkpoints/checkpoint-00000012")
    assert ended.code == 2 and f"run has no checkpoint '{finished_run}/checkpoints/checkpoint-00000012'" in ended.err


def test_a_run_whose_arguments_have_the_former_names_is_resumed(train, copied_run, finished_run):
    """Their file names both weights of the quantizer's losses, which now have defaults."""
    file = copied_run / "training_arguments.yaml"
    values = yaml.safe_load(file.read_text())
    for former, name in RENAMED.items():
        if "." not in name:
            values[former] = values.pop(name)
    for name in ("quantizer_loss_weights", "resume_from_checkpoint"):
        del values[name]
    values |= {"commitment_weight": 0.1, "codebook_weight": 1.0}
    values |= {"resume": False, "streaming": False, "frames_per_epoch": None}
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    shutil.rmtree(list_checkpoints(copied_run / "checkpoints")[-1])
    ended = train("--resume --commitment-weight 0.2")
    assert ended.code == 2 and "had quantizer_loss_weights = {'commitment': 0.1, 'codebook': 1.0}" in ended.err
    best = copied_run / "best/validation.json"
    best.write_text('{"step": 10, "masked_mse": 0.0, "background_mse": 9.0}')  # without coverage, as in such a run
    ended = train("--resume --commitment-weight 1e-1")
    assert ended.code == 0, ended.err
    assert json.loads(best.read_text())["step"] == 15
    assert_same_run(copied_run, finished_run)


def test_other_data_are_refused(train, copied_run, tmp_path):
    folder = tmp_path / "others"
    folder.mkdir()
    smoke(40, seed=5).save(folder / "train.safetensors")
    smoke(10, seed=1).save(folder / "validation.safetensors")
    ended = train(f"--resume --dataset {folder}")
    assert ended.code == 2 and "The training data are not those of" in ended.err


def test_the_same_data_may_move(train, copied_run, data, tmp_path):
    moved = shutil.copytree(data, tmp_path / "moved")
    assert train(f"--resume --dataset {moved}").code == 0


def change_state(run, **changes) -> None:
    """Change the trainer's state in the newest checkpoint; None removes a value."""
    newest = list_checkpoints(run / "checkpoints")[-1]
    state = json.loads((newest / "trainer_state.json").read_text()) | changes
    kept = {name: value for name, value in state.items() if value is not None}
    (newest / "trainer_state.json").write_text(json.dumps(kept))
    manifest = json.loads((newest / "manifest.json").read_text())
    manifest["trainer_state.json"] = digest(newest / "trainer_state.json")
    (newest / "manifest.json").write_text(json.dumps(manifest))


def test_one_process_takes_over_the_frames_of_three(train, copied_run):
    change_state(copied_run, num_processes=3, frames_per_step=9)
    ended = train("--resume --epochs 4")
    assert ended.code == 0, ended.err  # one process has all of them
    assert "Continuing on 1 process(es) instead of 3: a step still has 9 frames, with batch_size = 3 and" in ended.out


def test_a_smaller_batch_with_more_accumulation_continues(train, copied_run):
    ended = train("--resume --epochs 4 --batch-size 4 --gradient-accumulation-steps 2")
    assert ended.code == 0, ended.err
    assert "Continuing with batch_size = 4, which was 8." in ended.out
    assert "Continuing with gradient_accumulation_steps = 2, which was 1." in ended.out


def test_an_older_checkpoint_of_other_processes_is_refused(train, copied_run):
    change_state(copied_run, num_processes=4, frames_per_step=None)
    ended = train("--resume")
    assert ended.code == 2 and "was written by 4 process(es) of an older version and cannot be" in ended.err


def test_a_damaged_checkpoint_is_refused_and_an_older_one_can_be_used(train, copied_run, finished_run):
    newest = list_checkpoints(copied_run / "checkpoints")[-1]
    file = newest / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-9] ^= 4
    file.write_bytes(content)
    ended = train("--resume")
    assert ended.code == 2
    assert "is damaged: model.safetensors has changed; delete it to use an older one" in ended.err
    shutil.rmtree(newest)
    assert train("--resume").code == 0
    assert history(copied_run) == history(finished_run)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("training_arguments.yaml", "dataset: [", "is not valid YAML"),
        ("training_arguments.yaml", None, "is not a file"),
        ("best/validation.json", '{"step": 1', "is not valid JSON"),
    ],
)
def test_a_damaged_file_of_a_run_is_named_when_it_is_resumed(train, copied_run, name, content, reason):
    file = copied_run / name
    file.unlink() if content is None else file.write_text(content)
    ended = train("--resume --epochs 4")
    assert ended.code == 2 and f"{file} {reason}" in ended.err and "Traceback" not in ended.err


def test_the_arguments_of_a_run_are_a_configuration(train, copied_run):
    """training_arguments.yaml can be passed as --config."""
    values = yaml.safe_load((copied_run / "training_arguments.yaml").read_text())
    ended = run(
        "train_vqvae.py",
        f"--config {copied_run / 'training_arguments.yaml'} --output-dir {copied_run.parent} "
        f"--run-name {copied_run.name} --resume",
    )
    assert values["run_name"] == "uninterrupted" and ended.code == 0, ended.err
