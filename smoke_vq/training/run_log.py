"""Records of a run: the history of its figures, a picture of samples, and trackers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from PIL import Image

from ..downloads.errors import first_line
from ..pictures import fitting_scale, image_grid
from .arguments import TrainingArguments


class History:
    """`history.jsonl`: one JSON object per line with `step` and named figures; the trackers get the same."""

    def __init__(self, path: Path, accelerator: Accelerator):
        self.path, self.accelerator = path, accelerator

    def add(self, step: int, figures: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": step, **figures}) + "\n")
        self.accelerator.log(figures, step=step)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def truncate(self, size: int) -> None:
        """Keep the complete lines of the first `size` bytes; a resumed run writes the rest again."""
        if self.path.exists():
            kept = self.path.read_bytes()[:size]
            self.path.write_bytes(kept[: kept.rfind(b"\n") + 1])


class SampleSheet:
    """A folder with one strip of samples per validation, and a picture beside it of the targets and all strips."""

    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, step: int, frames: np.ndarray, targets: np.ndarray | None) -> Image.Image:
        """Add the samples of `step`, (N, H, W, 3) uint8, and return the picture."""
        self.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(list(frames), axis=1)).save(self.folder / f"step-{step:08d}.png")
        rows: list[Any] = [] if targets is None else [targets]
        labels = [] if targets is None else ["input"]
        width = frames.shape[2]
        for path in sorted(self.folder.glob("step-*.png")):
            strip = np.asarray(Image.open(path).convert("RGB"))
            rows.append(np.stack(np.split(strip, strip.shape[1] // width, axis=1)))
            labels.append(f"step {int(path.stem.removeprefix('step-'))}")
        sheet = image_grid(rows, labels, scale=fitting_scale(frames[0], 128))
        sheet.save(self.folder.with_suffix(".png"))
        return sheet

    def truncate(self, step: int) -> None:
        for path in self.folder.glob("step-*.png"):
            if int(path.stem.removeprefix("step-")) > step:
                path.unlink()


def log_picture(accelerator: Accelerator, name: str, image: Image.Image, step: int) -> None:
    """Log a picture to each tracker in the form that it accepts."""
    for tracker in accelerator.trackers:
        if tracker.name == "trackio":  # accelerate's trackio tracker has no log_images
            import trackio

            tracker.tracker.log({name: trackio.Image(np.asarray(image))}, step=step)
        elif tracker.name == "tensorboard":
            tracker.log_images({name: np.asarray(image)[None]}, step=step, dataformats="NHWC")
        else:
            tracker.log_images({name: [image]}, step=step)


def start_trackers(accelerator: Accelerator, arguments: TrainingArguments) -> None:
    """Raises a ValueError if the tracker does not start, for example without a login."""
    if arguments.tracking.report_to == "none":
        return
    values = arguments.to_dict().items()
    config = {name: value if isinstance(value, int | float | str) else str(value) for name, value in values}
    name = {"name": arguments.run.run_name}
    try:
        accelerator.init_trackers(arguments.tracking.project_name, config, {"wandb": name, "trackio": name})
    except Exception as error:  # each tracker has errors of its own
        tracker = arguments.tracking.report_to
        help_offline = "; WANDB_MODE=offline needs no login" if tracker == "wandb" else ""
        raise ValueError(f"The tracker {tracker} does not start: {first_line(error)}{help_offline}.") from error
