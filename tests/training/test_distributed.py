"""Two processes (gloo) learn the same as one process with twice the batch."""

import importlib.util
from pathlib import Path

import pytest
import torch
from training_runs import FLAGS, ROOT, assert_same_run, fork, history, reset_accelerate, run, signalled, weights

WORKER = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module", params=["vq", "ema"])
def quantizer(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def ranks(tmp_path_factory, quantizer) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    fork([WORKER, folder, quantizer], processes=2)
    return [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


@pytest.fixture(scope="module")
def alone(quantizer) -> dict:
    spec = importlib.util.spec_from_file_location("two_processes", WORKER)
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    reset_accelerate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smoke_vq.training.recipes.codebook_health.USAGE_DECAY", 0.2)
        report = worker.learn(worker.halves(), quantizer)
    reset_accelerate()
    first, second = (half["mask"].sum() for half in worker.halves())
    assert second > 2 * first, "the halves have masks of different area"
    return report


def close(found: list[torch.Tensor], expected: list[torch.Tensor], rtol: float) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=1e-9)


def test_there_are_two_processes(ranks, alone):
    assert [report["processes"] for report in ranks] == [2, 2] and alone["processes"] == 1


@pytest.mark.parametrize("moment", ["start", "end"])
def test_the_codebook_is_the_same_on_both(ranks, moment):
    """After k-means, and after twelve steps with revivals."""
    assert torch.equal(ranks[0][moment], ranks[1][moment])
    assert ranks[0]["revived"] == ranks[1]["revived"] > 0
    assert torch.equal(ranks[0]["usage"], ranks[1]["usage"])


def test_kmeans_starts_from_the_latents_of_both(ranks, alone):
    close([ranks[0]["start"]], [alone["start"]], 1e-5)


def test_gradients_and_losses_are_those_of_the_double_batch(ranks, alone):
    for report in ranks:
        close(report["gradients"], alone["gradients"], 1e-5)
        assert report["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    assert max(gradient.abs().max() for gradient in alone["gradients"]) > 1e-4


def test_weights_after_a_step_are_those_of_the_double_batch(ranks, alone):
    close(ranks[0]["weights after 1"], alone["weights after 1"], 1e-4)
    assert all(map(torch.equal, ranks[0]["weights after 12"], ranks[1]["weights after 12"]))


@pytest.fixture(scope="module")
def pair(data, tmp_path_factory) -> tuple[Path, str]:
    """The folder and flags of a run on two processes with half the batch each."""
    folder = tmp_path_factory.mktemp("pair")
    flags = f"--dataset {data} --output-dir {folder} {FLAGS} --batch-size 4 --revival-steps 0"
    fork([ROOT / "scripts/train_vqvae.py", *flags.split(), "--run-name", "uninterrupted"], processes=2)
    return folder, flags


def test_the_first_losses_and_validations_are_those_of_one_process(pair, data, tmp_path):
    folder, flags = pair
    ended = run("train_vqvae.py", flags.replace(str(folder), str(tmp_path)) + " --batch-size 8 --run-name one")
    assert ended.code == 0, ended.err
    for kind, first in (("train/", 5 * 4), ("validation/", None)):
        found, expected = history(folder / "uninterrupted", kind)[:first], history(tmp_path / "one", kind)[:first]
        assert [entry[:2] for entry in found] == [entry[:2] for entry in expected] and found
        # Losses only of the first epoch: float32 sums in another order drift apart.
        assert [value for *_, value in found] == pytest.approx([value for *_, value in expected], rel=0.02)
    step, values = 5, {}
    for where in (folder / "uninterrupted", tmp_path / "one"):
        values[where] = {name: value for at, name, value in history(where, "validation/") if at == step}
    two, one = values.values()
    assert two["validation/num_frames"] == one["validation/num_frames"] == 10
    assert two == pytest.approx(one, rel=1e-3)


def test_two_processes_stop_together_and_resume_to_the_last_bit(pair):
    folder, flags = pair
    interrupted = signalled("train_vqvae.py", flags, "SIGINT", 7, processes=2)  # sent to the first process only
    assert interrupted.code != 0 and "Stopped at step 7 of 15." in interrupted.out, interrupted.err
    resumed = fork([ROOT / "scripts/train_vqvae.py", *flags.split(), "--resume"], processes=2)
    assert "step 7 of 15" in resumed.out
    assert_same_run(folder / "run", folder / "uninterrupted")
    assert weights(folder / "run/last") == weights(folder / "uninterrupted/last")


def test_one_process_then_two_then_one_see_the_same_frames(data, tmp_path):
    """Each with the same flags: a step of two processes takes half of the frames on each."""
    flags = f"--dataset {data} --output-dir {tmp_path} {FLAGS} --lr-scheduler constant --revival-steps 0"
    assert run("train_vqvae.py", f"{flags} --run-name alone").code == 0
    assert run("train_vqvae.py", f"{flags} --max-steps 5").code == 0
    second = fork([ROOT / "scripts/train_vqvae.py", *f"{flags} --max-steps 8 --resume".split()], processes=2)
    assert "Continuing on 2 process(es) instead of 1: a step still has 8 frames, with batch_size = 4" in second.out
    last = run("train_vqvae.py", f"{flags} --max-steps 15 --resume")
    assert last.code == 0 and "Continuing with batch_size = 8, which was 4." in last.out, last.err
    found, expected = ([e for e in history(tmp_path / name) if e[1] == "train/total"] for name in ("run", "alone"))
    assert [step for step, *_ in found] == list(range(1, 16))
    # Sums in another order drift apart: other frames would change a loss by tens of percent.
    assert [value for *_, value in found] == pytest.approx([value for *_, value in expected], rel=0.05)
