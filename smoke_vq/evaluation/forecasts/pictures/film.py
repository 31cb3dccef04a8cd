"""A film of one forecast: the truth, the mean, samples and their spread side by side."""

import numpy as np
import torch
from PIL import Image

from ....pictures import image_grid
from ....pixels import to_images
from .strip import SPREAD_GAIN, spread, spread_picture

_NUM_SAMPLES = 3
_SCALE = 3


def draw_film(
    past: torch.Tensor, members: torch.Tensor, truth: torch.Tensor | None = None, num_shown: int = _NUM_SAMPLES
) -> list[Image.Image]:
    """The frames of the film: the observed frames in every panel, then the forecast.

    Args:
        past: (P, 3, H, W) in [-1, 1].
        members: (S, T, 3, H, W) in [-1, 1].
        truth: (K, 3, H, W) in [-1, 1]; its panel is black from frame K on, and left out if it is None.
        num_shown: samples that have a panel, at most.
    """
    observed, mean = to_images(past).numpy(), to_images(members.mean(dim=0)).numpy()
    panels = {} if truth is None else {"truth": to_images(truth).numpy()}
    if len(members) == 1:
        panels["forecast"] = mean
    else:
        panels["mean"] = mean
        samples = to_images(members[:num_shown]).numpy()
        panels |= {f"sample {number}": frames for number, frames in enumerate(samples, start=1)}
        panels[f"spread x{SPREAD_GAIN}"] = np.repeat(spread_picture(spread(members))[..., None], 3, axis=-1)
    names, black = list(panels), np.zeros_like(mean[0])
    film = []
    for time, frame in enumerate(observed, start=1 - len(observed)):
        shown = [(f"observed {time}", frame) if not name.startswith("spread") else (name, black) for name in names]
        film.append(shown)
    for time in range(len(mean)):
        shown = [(name, frames[time] if time < len(frames) else black) for name, frames in panels.items()]
        film.append([(f"{names[0]} +{time + 1}", shown[0][1]), *shown[1:]])
    return [
        image_grid([[frame for _, frame in shown]], scale=_SCALE, column_labels=[label for label, _ in shown])
        for shown in film
    ]
