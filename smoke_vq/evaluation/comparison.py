"""Measuring models, baselines and image codecs on the same frames."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from ..data.loader import FrameLoader
from ..metrics import Batch, Metric
from ..pixels import clamp
from .reconstruction import Reconstruction


@dataclass
class Column:
    """A column of the table.

    figures: figures of the dataset, by name.
    per_frame: (N,) by the name of the figure, in the order of the dataset, NaN where undefined.
    """

    figures: dict[str, float | None]
    per_frame: dict[str, torch.Tensor]


class Comparison:
    """Measures on frames that are split over the processes, without padding: each frame counts once.

    Args:
        loader: all frames once, in order.
        metrics: measured for every column, see `smoke_vq.metrics.METRICS`.
        per_frame: gather what metrics keep of each frame, and compute figures on the main process only. Without it
            `Column.per_frame` is empty, metrics that need all frames (FID, flicker) cannot be measured, and every
            process has the figures.

    Raises:
        ValueError: fewer frames than a metric needs.
    """

    def __init__(
        self, accelerator: Accelerator, loader: FrameLoader, metrics: Sequence[Metric], per_frame: bool = True
    ):
        for metric in metrics:
            if len(loader.frames) < metric.min_frames:
                names = ", ".join(figure.label for figure in metric.figures)
                raise ValueError(
                    f"{loader.frames.name} has {len(loader.frames)} frame(s), but the figures {names} need at least "
                    f"{metric.min_frames}."
                )
        self.accelerator, self.loader, self.metrics, self.per_frame = accelerator, loader, metrics, per_frame

    def measure_model(self, model: nn.Module) -> Column:
        """Measure a model. If it has codes, each takes `ceil(log2 K)` bits."""
        num_codes = getattr(getattr(model, "quantizer", None), "num_codes", None)

        def reconstruct(pixel_values: torch.Tensor) -> Reconstruction:
            with self.accelerator.autocast():
                output = model(pixel_values)
            indices = getattr(output, "indices", None)
            if indices is None or num_codes is None:
                return Reconstruction(output.sample)
            num_bytes = indices[0].numel() * math.ceil(math.log2(num_codes)) / 8
            sizes = torch.full((len(pixel_values),), num_bytes, device=pixel_values.device)
            return Reconstruction(output.sample, sizes, indices=indices, num_codes=num_codes)

        return self.measure(reconstruct)

    @torch.no_grad()
    def measure(self, reconstruct: Callable[[torch.Tensor], Reconstruction]) -> Column:
        """Measure a function of `pixel_values` (B, 3, H, W) in [-1, 1]."""
        rows, sequences = [], self.loader.frames.sequences
        for metric in self.metrics:
            metric.reset()
        for loaded in self.loader.epoch(0):
            rows.append(loaded["row"])
            output = reconstruct(loaded["pixel_values"])
            sequence = None if sequences is None else sequences[loaded["row"].cpu()].to(self.accelerator.device)
            known = output._asdict() | {"sample": clamp(output.sample.float())}
            batch = Batch(target=loaded["pixel_values"], mask=loaded["mask"], sequence=sequence, **known)
            for metric in self.metrics:
                metric.update(batch)
        gather = _FrameGatherer(self.accelerator, torch.cat(rows)) if self.per_frame else None
        column = Column({"num_frames": len(self.loader.frames)}, {})
        for metric in self.metrics:
            metric.reduce(lambda value: self.accelerator.reduce(value, "sum"))
            if gather is not None:
                metric.gather(gather)
                if not self.accelerator.is_main_process:
                    continue  # FID takes seconds, and only the main process reports values of frames
            column.figures |= metric.compute()
            names = [figure.name for figure in metric.figures]
            column.per_frame |= {name: metric.frames[name] for name in names if name in metric.frames}
        return column


class _FrameGatherer:
    """Gathers values of frames, (n, ...) on each process, to (N, ...) on the CPU of all, sorted by row."""

    def __init__(self, accelerator: Accelerator, rows: torch.Tensor):
        self.accelerator = accelerator
        rows = self._gather(rows.to(accelerator.device) + 1)  # 0 marks padding
        self.order = rows.argsort()[(rows == 0).sum() :]

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        return self._gather(values)[self.order]

    def _gather(self, values: torch.Tensor) -> torch.Tensor:
        padded = self.accelerator.pad_across_processes(values.contiguous(), dim=0)
        return self.accelerator.gather(padded).cpu()
