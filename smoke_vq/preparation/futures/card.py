"""The dataset card of futures: contents, method, measured divergence, and the command that reproduces the dataset."""

import shlex
from pathlib import Path

from ..folder import write_card
from ..plumes.card import size_category
from .pictures import SPREAD_GAIN
from .plan import TEST, FuturesPlan
from .rows import futures_features

_TEMPLATE = Path(__file__).with_name("card.md")


def write_futures_card(output: Path, plan: FuturesPlan, divergence: list[dict[str, float]]) -> None:
    """Write README.md of the dataset folder `output`; `divergence` is the result of the function of that name."""
    settings = plan.to_dict()
    num_rows = plan.num_plumes * plan.frames_per_plume()
    values = {
        **settings,
        "num_rows": num_rows,
        "last_seed": plan.seed + plan.num_plumes - 1,
        "divergence": divergence,
        "spread_gain": SPREAD_GAIN,
        "command": _command(settings),
    }
    write_card(
        output,
        _TEMPLATE,
        values,
        futures_features(),
        {TEST: num_rows},
        license="cc0-1.0",
        pretty_name="Futures of simulated smoke plumes",
        tags=["smoke", "simulation", "fluid-dynamics", "video", "video-prediction", "synthetic"],
        size_categories=[size_category(num_rows)],
    )


def _command(settings: dict) -> str:
    """The command that reproduces the dataset."""
    words = ["smoke-vq", "simulate", "--output-dir", "futures", "--futures", settings["num_plumes"]]
    words += ["--starts", *settings["starts"], "--num-members", settings["num_members"]]
    words += ["--future-frames", settings["num_frames"]]
    for name in ("size", "dimensions", "background", "seed", "device"):
        words += [f"--{name}", settings[name]]
    return shlex.join(map(str, words))
