"""Simulated plumes as a dataset folder, shard by shard, by one process or by all those of a cluster.

Which simulations a shard holds is known before the first is made, and a shard is written whole or not at all: a run
that was stopped goes on with those that are missing, and processes share the work without a word between them.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from ...simulation import PlumeSettings, simulate_plumes
from ..folder import check_ours, parquet, write_atomically
from ..processes import impatient_pool
from .card import write_plumes_card
from .pictures import write_pictures
from .plan import PlumesPlan, Shard
from .rows import check_space, plume_features, recording_rows

SETTINGS_FILE = "settings.json"
PLUME_FILES = {SETTINGS_FILE, "data", "contact_sheet.png", "animation.webp", "README.md"}
POLL_SECONDS = 0.2


def prepare_plumes(
    plan: PlumesPlan,
    output_dir: str | Path,
    device: torch.device | str | None = None,
    num_proc: int = 1,
    rank: int = 0,
    world_size: int = 1,
) -> None:
    """Make the shards of `plan` that are missing; the process of rank 0 then writes pictures and card.

    Args:
        device: that of this process, of the kind `plan.device`.
        num_proc: worker processes of this process.
        rank, world_size: which share of the shards is this process's. All write to the same folder.

    Raises:
        ValueError: the folder holds something else, or was begun with other settings.
        OSError: no room on the disk, or in memory.
    """
    folder = begin(plan, output_dir)
    shards, data = plan.shards(), folder / "data"
    missing = [shard for shard in shards if not (data / shard.name).exists()]
    if missing:
        (folder / "README.md").unlink(missing_ok=True)
        check_space(data, sum(shard.num_frames for shard in missing), plan.plume)
    share = shards[rank::world_size]
    jobs = [(shard, data, plan.plume, device or plan.device) for shard in share if shard in missing]
    try:
        with progress_bar(data, shards, shown=rank == 0) as show:
            make_shards(jobs, num_proc, show)
            while rank == 0 and show() < len(shards):
                time.sleep(POLL_SECONDS)
        if rank == 0 and not (folder / "README.md").exists():
            write_pictures(folder, shards)
            write_plumes_card(folder, plan.to_dict(), plan.frames(), plume_features())
    except (OSError, BrokenProcessPool) as error:
        whole = sum((data / shard.name).exists() for shard in shards)
        died = "a worker process died, perhaps for lack of memory"
        detail = died if isinstance(error, BrokenProcessPool) else error.strerror or str(error)
        raise OSError(
            f"'{folder}' is not finished ({detail}): {whole} of {len(shards)} shards are whole; "
            "once the cause is gone, the same command goes on."
        ) from error
    finally:
        for shard in share:
            remove(data.glob(f"{shard.name}.*.tmp"))
        if rank == 0:
            remove(folder.glob("*.tmp"))


def begin(plan: PlumesPlan, output_dir: str | Path) -> Path:
    """The folder with its settings file, which comes first, and `data`."""
    folder = check_ours(output_dir, PLUME_FILES, SETTINGS_FILE)
    file, settings = folder / SETTINGS_FILE, plan.to_dict()
    if file.exists():
        found = json.loads(file.read_text())
        other = [key for key in {**found, **settings} if found.get(key) != settings.get(key)]
        if other:
            differences = ", ".join(f"{key} {found.get(key)}, not {settings.get(key)}" for key in other)
            raise ValueError(f"'{folder}' was begun with other settings ({differences}): choose another folder.")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(file, (json.dumps(settings, indent=1) + "\n").encode())
    (folder / "data").mkdir(exist_ok=True)
    return folder


@contextmanager
def progress_bar(data: Path, shards: list[Shard], shown: bool) -> Iterator[Callable[[], int]]:
    """A bar of the frames in whole shards, whoever made them, as a function that updates it and counts the shards."""
    from tqdm.auto import tqdm

    frames = {shard.name: shard.num_frames for shard in shards}

    def whole() -> list[str]:
        return [name for name in os.listdir(data) if name in frames]

    def show() -> int:
        names = whole()
        if new := sum(frames[name] for name in names) - bar.n:
            bar.update(new)
        return len(names)

    before = sum(frames[name] for name in whole())
    with tqdm(total=sum(frames.values()), initial=before, desc="plumes", unit=" frames", disable=not shown) as bar:
        yield show


def make_shards(jobs: list[tuple], num_proc: int, show: Callable[[], int]) -> None:
    """`make_shard` of each job; an exception, Ctrl-C among them, stops all at once."""
    num_proc = min(num_proc, len(jobs))
    if num_proc <= 1:
        for job in jobs:
            make_shard(job)
            show()
        return
    with impatient_pool(make_shard, num_proc) as pool:
        pending = {pool.submit(make_shard, job) for job in jobs}
        while pending:
            done, pending = wait(pending, POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                future.result()
            show()


def make_shard(job: tuple[Shard, Path, PlumeSettings, torch.device | str]) -> None:
    shard, data, plume, device = job
    try:
        recordings = simulate_plumes(
            shard.seeds, replace(plume, num_frames=min(plume.num_frames, shard.num_frames)), device
        )
    except torch.OutOfMemoryError as error:
        raise OSError(f"{device} has no memory for {len(shard.seeds)} simulations together") from error
    rows = [row for recording in recordings for row in recording_rows(recording)]
    write_atomically(data / shard.name, parquet(rows[: shard.num_frames], plume_features()))


def remove(paths: Iterator[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
