"""The files of scripts/cluster with processes on this machine, in place of Slurm, SkyPilot and Hugging Face Jobs."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from training_runs import FLAGS, ROOT, history, run, smoke

CLUSTER = ROOT / "scripts/cluster"
OWN = dict(ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))

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
    own = dict(PATH=path, JOURNAL=str(tmp_path / "journal")) | OWN
    base = f"vqvae --dataset {tmp_path / 'data'} --output-dir {tmp_path} --run-name run {FLAGS} --batch-size 4"

    def job(flags: str = "") -> subprocess.Popen:
        command = ["bash", CLUSTER / "train.sbatch", *base.split(), *flags.split()]
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


# Hugging Face's client: records a job, and copies between a folder and the bucket, which is a folder too.
HF = """#!/bin/bash
if [ "$1" = jobs ]; then printf '%s\\0' "$@" > "$JOURNAL"; exit; fi
from=${3/hf:\\/\\/buckets/$BUCKETS} to=${4/hf:\\/\\/buckets/$BUCKETS}
mkdir -p "$from" "$to" && cp -a "$from/." "$to"
"""


def path_of(folder: Path, **commands: str) -> str:
    """PATH with these commands before those of this environment."""
    folder.mkdir()
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return os.pathsep.join([str(folder), os.path.dirname(sys.executable), os.environ["PATH"]])


@pytest.fixture
def words(data) -> str:
    """The words of a training of 6 steps."""
    return f"vqvae --dataset {data} --run-name run {FLAGS} --max-steps 6"


@pytest.fixture
def interrupted(data):
    """A function (folder) that trains 4 steps there, and adds a checkpoint of which an upload left only a part."""

    def interrupted(folder: Path) -> None:
        flags = f"--dataset {data} --output-dir {folder} --run-name run {FLAGS} --max-steps 4"
        ended = run("train_vqvae.py", flags)
        assert ended.code == 0, ended.err
        checkpoints = folder / "run/checkpoints"
        shutil.copytree(checkpoints / "checkpoint-00000004", checkpoints / "checkpoint-00000006")
        (checkpoints / "checkpoint-00000006/model.safetensors").unlink()

    return interrupted


def assert_continued(folder: Path) -> None:
    steps = [step for step, name, _ in history(folder / "run", "train/") if name == "train/total"]
    assert steps == list(range(1, 7)) and (folder / "run/best/README.md").is_file()
    assert (folder / "run/checkpoints/checkpoint-00000006.cut-off").is_dir()


def test_the_command_for_skypilot_continues_on_two_nodes(interrupted, words, tmp_path):
    task = yaml.safe_load((CLUSTER / "train.sky.yaml").read_text())
    assert task["file_mounts"].keys() == {task["envs"]["RUNS"]} and task["resources"]["use_spot"]
    interrupted(tmp_path / "runs")
    cluster = {"NODE_IPS": "127.0.0.1\n127.0.0.1", "NUM_NODES": task["num_nodes"], "NUM_GPUS_PER_NODE": 1}
    variables = {f"SKYPILOT_{name}": str(value) for name, value in cluster.items()} | {"RDZV_PORT": "29518"}
    own = dict(PATH=path_of(tmp_path / "bin"), TRAIN=words, RUNS=str(tmp_path / "runs")) | OWN
    nodes = [
        subprocess.Popen(
            ["bash", "-c", task["run"]],
            cwd=ROOT,
            env=os.environ | variables | own | {"SKYPILOT_NODE_RANK": str(rank)},
            text=True,
            stderr=subprocess.PIPE,
        )
        for rank in range(task["num_nodes"])
    ]
    errors = [node.communicate(timeout=400)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], errors[0][-3000:]
    assert_continued(tmp_path / "runs")


@pytest.mark.skipif(int(huggingface_hub.__version__.split(".")[0]) < 2, reason="huggingface_hub 1 has no --attempts")
def test_a_hugging_face_job_continues_from_its_bucket(interrupted, words, tmp_path):
    torchrun = Path(sys.executable).with_name("torchrun")
    two = f'#!/bin/bash\nexec {torchrun} "${{@/auto/2}}"\n'  # processes, on any number of cores
    path = path_of(tmp_path / "bin", hf=HF, pip="#!/bin/bash\n", torchrun=two)
    own = dict(PATH=path, JOURNAL=str(tmp_path / "journal"), BUCKETS=str(tmp_path / "buckets")) | OWN
    start = ["bash", CLUSTER / "hf_jobs.sh", "user/smoke-runs", *words.split()]
    subprocess.run(start, env=os.environ | own | {"SMOKE_VQ": "smoke-vq", "UPLOAD_SECONDS": "5"}, check=True)
    command = (tmp_path / "journal").read_text().split("\0")[:-1]
    hf = Path(sys.executable).with_name("hf")
    shown = subprocess.run([hf, *command[:2], "--dry-run", *command[2:]], capture_output=True, text=True, check=False)
    assert shown.returncode == 0 and "Job not submitted" in shown.stdout, shown.stderr

    variables = dict(pair.split("=") for flag, pair in itertools.pairwise(command) if flag == "--env")
    assert variables == {"BUCKET": "user/smoke-runs", "SMOKE_VQ": "smoke-vq", "UPLOAD_SECONDS": "5"}
    interrupted(tmp_path / "buckets/user/smoke-runs")
    (tmp_path / "job").mkdir()
    job = command[command.index("bash") :]
    ended = subprocess.run(
        job, cwd=tmp_path / "job", env=os.environ | own | variables, capture_output=True, text=True, timeout=400
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert_continued(tmp_path / "buckets/user/smoke-runs")
