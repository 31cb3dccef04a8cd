"""Simulated plumes as a dataset folder, written file by file by one process or by many on a cluster."""

from dataclasses import replace
from pathlib import Path

import torch

from ...layout import ANIMATION, CARD, CHECKSUMS, CONTACT_SHEET, DATA, SETTINGS
from ...simulation import PlumeSettings, simulate_plumes
from ..folder import open_output_folder, parquet, remove_temporary_files
from ..jobs import run_jobs
from .card import write_plume_card
from .pictures import write_plume_pictures
from .plan import PlumePlan, PlumeShard
from .rows import check_disk_space, plume_features, plume_rows

_FILES = {SETTINGS, DATA, CONTACT_SHEET, ANIMATION, CARD, CHECKSUMS}


def prepare_plumes(
    plan: PlumePlan,
    output_dir: str | Path,
    device: torch.device | str | None = None,
    num_proc: int = 1,
    rank: int = 0,
    world_size: int = 1,
) -> None:
    """Write the missing files of `plan`; the process with rank 0 then adds pictures and the card.

    Args:
        device: device of this process, of the type `plan.device`.
        num_proc: worker processes of this process.
        rank, world_size: which share of the files this process writes. All processes write to the same folder.

    Raises:
        ValueError: the folder contains other files, or was started with other settings.
        OSError: the disk or the memory is too small.
    """
    folder = open_output_folder(output_dir, _FILES, plan.to_dict())
    shards, data = {shard.name: shard for shard in plan.shards()}, folder / DATA
    missing = [shard for name, shard in shards.items() if not (data / name).exists()]
    if missing:
        (folder / CARD).unlink(missing_ok=True)
        check_disk_space(data, sum(shard.num_frames for shard in missing), plan.plume)
    jobs = {name: (shard, plan.plume, device or plan.device) for name, shard in shards.items()}
    sizes = {name: shard.num_frames for name, shard in shards.items()}
    run_jobs(_simulate_shard, data, jobs, num_proc, rank, world_size, sizes, "plumes", "frames")
    if rank == 0 and not (folder / CARD).exists():
        write_plume_pictures(folder, list(shards.values()))
        write_plume_card(folder, plan.to_dict(), plan.frames(), plume_features())
        remove_temporary_files(folder, _FILES)


def _simulate_shard(shard: PlumeShard, plume: PlumeSettings, device: torch.device | str) -> bytes:
    """The content of one Parquet file."""
    settings = replace(plume, num_frames=min(plume.num_frames, shard.num_frames))
    try:
        recordings = simulate_plumes(shard.seeds, settings, device)
    except torch.OutOfMemoryError as error:
        raise OSError(f"{device} has not enough memory for {len(shard.seeds)} simulations at a time") from error
    rows = [row for recording in recordings for row in plume_rows(recording)]
    return parquet(rows[: shard.num_frames], plume_features())
