"""Whether a disk has room for what a training writes."""

from collections.abc import Collection
from pathlib import Path

from ..disk_space import check_disk_space
from .player import Player


def check_space_for_run(folder: Path, players: Collection[Player], keep: int, existing: int) -> None:
    """Raise an OSError if the checkpoints and models of a run will not fit on its disk.

    Args:
        folder: of the run.
        players: the networks that learn.
        keep, existing: how many checkpoints are kept, and how many there are.
    """
    weights = [sum(parameter.nbytes for parameter in player.network.parameters()) for player in players]
    averages = sum(size for player, size in zip(players, weights, strict=True) if player.ema is not None)
    checkpoint = 3 * sum(weights) + averages  # AdamW keeps two moments
    # One checkpoint more than are kept while it is written, and the best model, the last, and one that is written.
    size = max(1, keep + 1 - existing) * checkpoint + 3 * sum(weights)
    check_disk_space(folder, size, f"{keep} checkpoints and the models of the run")
