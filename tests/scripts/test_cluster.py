"""scripts/cluster/train.sbatch with two nodes on this machine, in place of Slurm."""

import os
import signal
import subprocess
import sys
import time

import pytest
from training_runs import FLAGS, ROOT, history, smoke

SLURM = {
    "scontrol": """#!/bin/bash
case $1 in show) echo localhost ;; requeue) echo "$2" >> "$JOURNAL" ;; esac
""",
    # As a task on each of two nodes; srun passes signals on.
    "srun": """#!/bin/bash
"$@" & first=$!
"$@" & second=$!
trap 'kill -TERM $first $second' TERM
wait $first; status=$?
while kill -0 $first 2> /dev/null || kill -0 $second 2> /dev/null; do wait; done
exit $status
""",
}


@pytest.fixture
def job(tmp_path):
    """The process of a job whose steps last long enough to interrupt it, as a function (flags)."""
    for name, text in SLURM.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        smoke(40).save(tmp_path / "data" / f"{split}.safetensors")
    slurm = dict(SLURM_JOB_NODELIST="node[1-2]", SLURM_JOB_NUM_NODES="2", SLURM_JOB_ID="7", RDZV_PORT="29517")
    path = os.pathsep.join([str(tmp_path / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]])
    own = dict(PATH=path, JOURNAL=str(tmp_path / "journal"), ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1")
    base = f"vqvae --dataset {tmp_path / 'data'} --output-dir {tmp_path} --run-name run {FLAGS} --batch-size 4"

    def job(flags: str = "") -> subprocess.Popen:
        command = ["bash", ROOT / "scripts/cluster/train.sbatch", *base.split(), *flags.split()]
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | slurm | own, text=True, stderr=subprocess.PIPE)

    return job


def test_a_job_on_two_nodes_is_requeued_at_its_time_limit_and_continues(job, tmp_path):
    first, log = job("--epochs 400"), tmp_path / "run" / "history.jsonl"
    deadline = time.monotonic() + 200
    while not (log.is_file() and len(history(tmp_path / "run", "train/")) > 3):
        assert first.poll() is None and time.monotonic() < deadline, first.communicate()[1][-3000:]
        time.sleep(0.2)
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=100) == 0 and (tmp_path / "journal").read_text() == "7\n"
    reached = max(step for step, *_ in history(tmp_path / "run", "train/"))
    last = reached // 5 + 2
    second = job(f"--epochs {last}")
    assert second.wait(timeout=200) == 0, second.communicate()[1][-3000:]
    steps = [step for step, name, _ in history(tmp_path / "run", "train/") if name == "train/total"]
    assert steps == list(range(1, 5 * last + 1)) and (tmp_path / "run/best/README.md").is_file()
