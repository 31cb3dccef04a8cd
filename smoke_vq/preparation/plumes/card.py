"""The dataset card of simulated plumes: contents, method, and the command that reproduces the dataset."""

import shlex
from pathlib import Path

from ...simulation.parameters import RANGES
from ..folder import write_card

_TEMPLATE = Path(__file__).with_name("card.md")
_SIZE_CATEGORIES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def write_plume_card(output: Path, settings: dict, num_rows: dict[str, int], features) -> None:
    """Write README.md of the dataset folder `output`.

    Args:
        settings: `PlumePlan.to_dict()`.
        num_rows: number of rows by split.
        features: `datasets.Features`.
    """
    total, length = sum(num_rows.values()), settings["frames_per_simulation"]
    splits = []
    for name, rows in num_rows.items():
        first, simulations = settings["seed" if name == "train" else "validation_seed"], -(-rows // length)
        last = first + simulations - 1
        splits.append({"name": name, "rows": rows, "simulations": simulations, "first": first, "last": last})
    values = {
        **settings,
        "splits": splits,
        "short": [f"{rows % length} in {name}" for name, rows in num_rows.items() if rows % length],
        "ranges": RANGES.items(),
        "command": _command(settings),
    }
    write_card(
        output,
        _TEMPLATE,
        values,
        features,
        num_rows,
        license="cc0-1.0",
        pretty_name="Simulated smoke plumes",
        tags=["smoke", "simulation", "fluid-dynamics", "video", "synthetic"],
        size_categories=[size_category(total)],
    )


def size_category(num_rows: int) -> str:
    """The Hub's name for datasets of this size."""
    return next((name for limit, name in _SIZE_CATEGORIES.items() if num_rows < limit), "1M<n<10M")


def _command(settings: dict) -> str:
    """The command that reproduces the dataset."""
    names = (
        "num_frames", "validation_frames", "frames_per_simulation", "size", "dimensions", "background", "seed",
        "validation_seed", "simulations_per_shard", "device",
    )  # fmt: skip
    flags = [word for name in names for word in (f"--{name.replace('_', '-')}", str(settings[name]))]
    return shlex.join(["smoke-vq", "simulate", "--output-dir", "plumes", *flags])
