"""Futures of simulated plumes as a dataset folder, written plume by plume by one process or by many on a cluster."""

from pathlib import Path

import torch

from ...layout import CARD, CHECKSUMS, CONTACT_SHEET, DATA, SETTINGS
from ...simulation import simulate_futures
from ..folder import evenly_spaced, open_output_folder, parquet, remove_temporary_files
from ..jobs import run_jobs
from ..plumes.rows import check_disk_space
from .card import write_futures_card
from .divergence import divergence
from .pictures import write_futures_sheet
from .plan import FuturesPlan
from .rows import futures_features, futures_rows, read_futures

_FILES = {SETTINGS, DATA, CONTACT_SHEET, CARD, CHECKSUMS}
_SHEET_PLUMES = 3


def prepare_futures(
    plan: FuturesPlan,
    output_dir: str | Path,
    device: torch.device | str | None = None,
    num_proc: int = 1,
    rank: int = 0,
    world_size: int = 1,
) -> None:
    """Write the missing files of `plan`; the process with rank 0 then adds the contact sheet and the card.

    Args and Raises: as `prepare_plumes`.
    """
    folder = open_output_folder(output_dir, _FILES, plan.to_dict())
    data, shards, size = folder / DATA, plan.shards(), plan.frames_per_plume()
    missing = [name for name in shards if not (data / name).exists()]
    if missing:
        (folder / CARD).unlink(missing_ok=True)
        check_disk_space(data, len(missing) * size, plan.plume)
    jobs = {name: (plan, seed, device or plan.device) for name, seed in shards.items()}
    run_jobs(_simulate_shard, data, jobs, num_proc, rank, world_size, dict.fromkeys(jobs, size), "futures", "frames")
    if rank == 0 and not (folder / CARD).exists():
        paths = [data / name for name in shards]
        examples = [read_futures(path) for path in evenly_spaced(paths, _SHEET_PLUMES)]
        # One start of each plume: the first of the first plume, the second of the second plume, and so on.
        chosen = [starts[place % len(starts)] for place, starts in enumerate(examples)]
        write_futures_sheet(folder, chosen)
        write_futures_card(folder, plan, divergence(futures for path in paths for futures in read_futures(path)))
        remove_temporary_files(folder, _FILES)


def _simulate_shard(plan: FuturesPlan, seed: int, device: torch.device | str) -> bytes:
    """The content of one Parquet file."""
    rows = []
    for start in plan.starts:
        futures = simulate_futures(seed, start, plan.num_members, plan.num_frames, plan.plume, device)
        rows.extend(futures_rows(futures))
    return parquet(rows, futures_features())
