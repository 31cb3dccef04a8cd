"""Training with --push-to-hub to a Hub on loopback: pushes during and after the training."""

import json
import re
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import hf_hub_download
from training_runs import FLAGS, history, launch, run, signalled

from smoke_vq import PatchDiscriminator, SmokeVQGAN, SmokeVQVAE
from smoke_vq.hub.provenance import describe_training
from smoke_vq.training.publisher import Publisher
from smoke_vq.training.trainer import Result

NAME = "user/smoke"
PUSH = f"--push-to-hub true --hub-model-id {NAME}"
WEIGHTS = "diffusion_pytorch_model.safetensors"
COMMIT = "POST .*/commit/"


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pushes(hub) -> list[dict[str, bytes]]:
    """The files of each commit after the initial one, oldest first."""
    return [{path: blob.content for path, blob in commit.files.items()} for commit in hub.commits(NAME)[-2::-1]]


def facts(files: dict[str, bytes]) -> dict:
    return json.loads(files["training.json"])


def temporary_files(run_folder: Path) -> list[str]:
    return [
        path.name
        for path in run_folder.iterdir()
        if path.name.startswith((".push-", ".best-")) or "partial" in path.name
    ]


def assert_published(hub, run_folder: Path) -> None:
    """Check that the last commit is the finished model in best/, except for the card, which names the repository."""
    files, local = pushes(hub)[-1], read(run_folder / "best")
    del files[".gitattributes"]
    assert set(files) == set(local) and facts(files)["finished"]
    assert all(files[name] == local[name] for name in local if name != "README.md")
    card = files["README.md"].decode()
    assert f'from_pretrained("{NAME}")' in card and "Training is in progress" not in card
    assert temporary_files(run_folder) == []


def make_publisher(data: Path) -> Publisher:
    facts = describe_training([str(data)], "train", "validation")
    return Publisher(SmokeVQVAE.card_text, facts, {"dataset": [str(data)]}, NAME)


def test_pushes_each_best_model_and_then_the_finished_one(hub, train, tmp_path):
    ended = train(f"{PUSH} --hub-private-repo true")
    assert ended.code == 0 and hub.repository(NAME).private, ended.err
    assert ended.out.splitlines()[-1] == f"Pushed: {hub.endpoint}/{NAME}/commit/{hub.commits(NAME)[0].sha}"
    assert_published(hub, tmp_path / "run")
    messages = [commit.message for commit in hub.commits(NAME)]
    assert messages[0] == "Upload model" and set(messages[1:-1]) == {"Upload best model so far"}
    first = pushes(hub)[0]
    assert facts(first)["step"] == 5 and not facts(first)["finished"] and "metrics.json" not in first
    assert json.loads(first["validation.json"])["step"] == 5 and first["samples.png"]
    card = first["README.md"].decode()
    assert "Training losses: the squared error on smoke and background, and the quantizer's losses." in card
    assert "best model so far, from step 5." in card and "so far |" in card
    steps = [facts(files)["step"] for files in pushes(hub)]
    assert steps == sorted(steps)
    local = SmokeVQVAE.from_pretrained(tmp_path / "run/best").state_dict()
    assert all(torch.equal(value, local[name]) for name, value in SmokeVQVAE.from_pretrained(NAME).state_dict().items())
    for files in pushes(hub):
        for name, content in files.items():
            assert not re.search(rb"(?<![\w.])/(tmp|home|root|work)\b|hf_test", content), name


def test_training_does_not_wait_for_a_slow_push(hub, train, finished_run, tmp_path):
    held = hub.fault(COMMIT, hold=True, times=1)

    def release() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (tmp_path / "run/last").exists():
            time.sleep(0.01)
        seen.append(max((step for step, *_ in history(tmp_path / "run")), default=0))
        held.release()

    seen = []
    thread = threading.Thread(target=release)
    thread.start()
    ended = train(PUSH)
    thread.join()
    assert ended.code == 0 and seen == [15], "training finished while the first push was in progress"
    assert held.count == 1 and facts(pushes(hub)[0])["step"] == 5 and len(pushes(hub)) <= 3
    assert_published(hub, tmp_path / "run")
    assert history(tmp_path / "run") == history(finished_run), "pushing does not change the training"


def test_only_the_newest_waiting_model_is_pushed(hub, copied_run, data):
    publisher = make_publisher(data)
    held = hub.fault(COMMIT, hold=True, times=1)
    original = (copied_run / "best" / WEIGHTS).read_bytes()
    for name in ("README.md", "metrics.json", "training.json"):
        (copied_run / "best" / name).unlink()
    for step in (1, 2, 3, 4):
        new = copied_run / "new"
        new.write_bytes(original[:-1] + bytes([step]))
        new.replace(copied_run / "best" / WEIGHTS)
        publisher.push_best(Result(copied_run / "best", step, 1.0, "10-0"))
        held.wait()
    assert len(temporary_files(copied_run)) == 2, "only the push in progress and the newest waiting one"
    held.release()
    publisher.push.result(30)
    assert [facts(files)["step"] for files in pushes(hub)] == [1, 4]
    assert [files[WEIGHTS][-1] for files in pushes(hub)] == [1, 4], "each push has the weights of its step"
    assert temporary_files(copied_run) == []


def test_a_failed_push_does_not_stop_later_ones(hub, copied_run, data, monkeypatch, capsys):
    def fail(*arguments):
        raise ZeroDivisionError("in a card")

    publisher = make_publisher(data)
    for step, broken in ((1, True), (2, False)):
        with monkeypatch.context() as patch:
            if broken:
                patch.setattr("smoke_vq.training.publisher.write_card", fail)
            publisher.push_best(Result(copied_run / "best", step, 1.0, "10-0"))
            publisher.push.result(30)
    assert "in a card" in capsys.readouterr().err and temporary_files(copied_run) == []
    assert [facts(files)["step"] for files in pushes(hub)] == [2]


def test_a_failed_push_is_printed_and_training_continues(hub, train, tmp_path):
    fault = hub.fault(COMMIT, status=503, times=1)
    ended = train(PUSH)
    assert ended.code == 0 and fault.count == 1
    message = next(line for line in ended.err.splitlines() if line.startswith(f"The push to '{NAME}' failed"))
    assert "503" in message and message.endswith("was lost; training continues.")
    assert "Traceback" not in ended.err
    assert_published(hub, tmp_path / "run")


def test_a_failed_last_push_names_the_command(hub, train, tmp_path):
    fault = hub.fault(COMMIT, status=507)
    ended = train(PUSH)
    assert ended.code == 2 and set(hub.files(NAME)) == {".gitattributes"}
    last = ended.err.strip().splitlines()[-1]
    command = re.fullmatch(
        r"error: .*; the repository is unchanged, .*; to push .*/best, run `smoke-vq push (.*)`\.", last
    )
    assert (tmp_path / "run/best/README.md").is_file()
    assert temporary_files(tmp_path / "run") == []
    fault.remove()
    assert run("push_to_hub.py", command[1]).code == 0
    assert_published(hub, tmp_path / "run")


def test_a_stopped_training_completes_its_push(hub, train, data, tmp_path, monkeypatch):
    for name, value in (hub.environment | {"HF_HOME": str(tmp_path / "home")}).items():
        monkeypatch.setenv(name, value)
    held = hub.fault(COMMIT, delay=0.5, times=1)
    stopped = signalled(
        "train_vqvae.py", f"--dataset {data} --output-dir {tmp_path} {FLAGS} {PUSH}", "SIGTERM", 8, launch
    )
    assert stopped.code == 130 and held.count == 1 and "same command and" in stopped.out, stopped.err
    assert facts(pushes(hub)[0])["step"] == 5 and temporary_files(tmp_path / "run") == []
    assert train(f"{PUSH} --resume").code == 0
    assert_published(hub, tmp_path / "run")


@pytest.mark.parametrize("request_of_the_push", ["PUT /lfs/", COMMIT])
def test_sigterm_in_the_last_push_publishes_all_or_nothing_and_the_resumed_run_pushes(
    hub, train, tmp_path, monkeypatch, request_of_the_push
):
    real, before = Publisher.finish, []

    def finish(self, result):
        self.push.result(30)  # that of the best model so far
        before.extend(pushes(hub))
        fault = hub.fault(request_of_the_push, delay=0.5, times=1)

        def signal_when_requested():
            fault.wait(30)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

        threading.Thread(target=signal_when_requested).start()
        real(self, result)

    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "finish", finish)
        ended = train(f"{PUSH} --validation-epochs 3")
    assert ended.code == 130 and ended.err.rstrip().endswith("Stopped.") and "Traceback" not in ended.err, ended.err
    last = ended.out.rstrip().splitlines()[-1]
    assert last.startswith(
        f"Stopped before the push to '{NAME}' was complete. Continue with the same command and --resume"
    )
    run_folder = tmp_path / "run"
    assert (run_folder / "checkpoints/checkpoint-00000015").is_dir() and temporary_files(run_folder) == []
    assert len(before) == 1 and pushes(hub)[0] == before[0]
    if len(pushes(hub)) > 1:  # the Hub had the whole request
        assert_published(hub, run_folder)
    assert train(f"{PUSH} --validation-epochs 3 --resume").code == 0
    assert_published(hub, run_folder)
    assert SmokeVQVAE.from_pretrained(NAME).config.latents_mean is not None


def test_a_resumed_run_may_be_pushed(hub, train, copied_run):
    assert train(f"{PUSH} --resume --epochs 4").code == 0
    assert_published(hub, copied_run)
    assert "--resume" in facts(pushes(hub)[-1])["command"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--push-to-hub true", "push_to_hub and hub_model_id 'user/name' belong together"),
        (f"--hub-model-id {NAME}", "push_to_hub and hub_model_id 'user/name' belong together"),
        ("--push-to-hub true --hub-model-id smoke", "The model repository is 'smoke': expected 'user/name'"),
        ("--push-to-hub true --hub-model-id other/smoke", "Cannot push to 'other/smoke': 403"),
        ("--push-to-hub true --hub-model-id user/open --hub-private-repo true", "'user/open' privately: it is public"),
    ],
)
def test_refused_before_anything_is_written(hub, train, tmp_path, flags, message):
    hub.create("other/smoke")
    hub.create("user/open")
    ended = train(flags)
    assert ended.code == 2 and message in ended.err and len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists() and len(hub.repositories) == 2


def test_a_vqgan_is_pushed_with_its_discriminator_and_training_continues_from_it(hub, data, vgg16_weights, tmp_path):
    flags = (
        f"--dataset {data} --output-dir {tmp_path} --perceptual-weights {vgg16_weights} {FLAGS} --epochs 1 "
        "--disc-start 2 --disc-warmup-steps 1 --discriminator.num_layers 1 --discriminator.base_channels 8"
    )
    ended = run("train_vqgan.py", f"{flags} {PUSH}")
    assert ended.code == 0, ended.err
    assert_published(hub, tmp_path / "run")
    assert [f"discriminator/{name}" in pushes(hub)[0] for name in ("config.json", WEIGHTS)] == [True, True]
    # A Hub that does not answer is not taken for a repository without a discriminator.
    silent = hub.fault("HEAD .*discriminator", status=503)
    refused = run("train_vqgan.py", f"{flags} --run-name silent --init-from {NAME}")
    silent.remove()
    assert refused.code == 2 and "does not answer" in refused.err and "--fresh-discriminator" not in refused.err
    loaded = PatchDiscriminator.from_pretrained(NAME, subfolder="discriminator").state_dict()
    local = PatchDiscriminator.from_pretrained(tmp_path / "run/best", subfolder="discriminator").state_dict()
    assert all(torch.equal(value, local[name]) for name, value in loaded.items())
    shutil.rmtree(tmp_path / "run")
    second = "--run-name second --train-only-decoder true --push-to-hub true --hub-model-id user/second"
    # With the published arguments, as the card says; they do not push by default.
    published = yaml.safe_load(hub.files(NAME)["training_arguments.yaml"])
    assert (published["push_to_hub"], published["hub_model_id"], published["resume_from_checkpoint"]) == (
        False,
        None,
        None,
    )
    config = hf_hub_download(NAME, "training_arguments.yaml")
    where = f"--dataset {data} --output-dir {tmp_path} --perceptual-weights {vgg16_weights}"
    ended = run("train_vqgan.py", f"--config {config} {where} {second} --init-from {NAME}")
    assert ended.code == 0, ended.err
    files = hub.files("user/second")
    assert yaml.safe_load(files["README.md"].decode().split("---")[1])["base_model"] == NAME
    assert json.loads(files["training.json"])["base_model"] == NAME
    first, second = (SmokeVQGAN.from_pretrained(name).state_dict() for name in (NAME, "user/second"))
    assert all(torch.equal(first[name], second[name]) for name in first if name.startswith("encoder."))
    assert not all(torch.equal(first[name], second[name]) for name in first)


def test_a_stopped_training_does_not_wait_for_the_push_of_a_waiting_model(hub, copied_run, data):
    held = hub.fault(COMMIT, hold=True, times=1)
    with pytest.raises(KeyboardInterrupt), make_publisher(data) as publisher:
        publisher.push_best(Result(copied_run / "best", 1, 1.0, "10-0"))
        held.wait()
        publisher.push_best(Result(copied_run / "best", 2, 1.0, "10-0"))
        waiting = publisher.push
        raise KeyboardInterrupt
    held.release()
    assert waiting.cancelled()
    publisher.api.run_as_future(dict).result(30)
    assert [facts(files)["step"] for files in pushes(hub)] == [1] and temporary_files(copied_run) == []
