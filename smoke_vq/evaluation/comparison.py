"""Several ways to reconstruct the same frames, measured alike: models, baselines, image codecs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from accelerate import Accelerator
from torch import nn

from ..data.loader import FrameLoader
from ..metrics import CodebookUsage, ImageQuality, PlumeQuality, flicker
from ..metrics.distribution import distribution_distances
from .baselines import Reconstruction

METRICS = ("image", "plume", "lpips", "fid")


@dataclass
class Column:
    """figures: over the dataset; per_frame: (N,) by name, in the order of the dataset, NaN where undefined."""

    figures: dict[str, float | None]
    per_frame: dict[str, torch.Tensor]


class Comparison:
    """Measures on frames that are shared out over the processes, nothing padded and nothing counted twice.

    Args:
        loader: all frames once, in order.
        metrics: which of "image" and "plume".
        distances: functions (sample, target) in [-1, 1] -> (B,) by the name of their figure, such as LPIPS.
        features: a function of (B, 3, H, W) uint8 -> (B, F) for FID and KID; None leaves them out.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        loader: FrameLoader,
        metrics: tuple[str, ...] = ("image", "plume"),
        distances: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] | None = None,
        features: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ):
        if features is not None and len(loader.frames) < 2:
            raise ValueError(f"FID and KID compare 2 images or more, {loader.frames.name} has {len(loader.frames)}.")
        self.accelerator, self.loader, self.metrics = accelerator, loader, metrics
        self.distances, self.features = distances or {}, features
        self.sequences = loader.frames.sequences

    def measure_model(self, model: nn.Module) -> Column:
        """The codes of a model take `ceil(log2 K)` bits each."""
        bits = math.ceil(math.log2(model.quantizer.num_codes))

        def reconstruct(pixel_values: torch.Tensor) -> Reconstruction:
            with self.accelerator.autocast():
                output = model(pixel_values)
            num_bytes = torch.full((len(pixel_values),), output.indices[0].numel() * bits / 8)
            return Reconstruction(output.sample, num_bytes.to(pixel_values.device), indices=output.indices)

        return self.measure(reconstruct, model.quantizer.num_codes)

    @torch.no_grad()
    def measure(self, reconstruct: Callable[[torch.Tensor], Reconstruction], num_codes: int | None = None) -> Column:
        quality, plume, usage = ImageQuality(), PlumeQuality(), CodebookUsage(num_codes or 0)
        gathered = _Rows(self.accelerator)
        for batch in self.loader.epoch(0):
            target = batch["pixel_values"]
            output = reconstruct(target)
            sample = output.sample.float().clamp(-1, 1)
            values = {"row": batch["row"], "bytes_per_frame": output.num_bytes}
            if output.num_payload_bytes is not None:
                values["payload_bytes_per_frame"] = output.num_payload_bytes
            if output.indices is not None:
                usage.update(output.indices)
            if "image" in self.metrics:
                values |= quality.update(sample, target, batch["mask"])
            if "plume" in self.metrics:
                values |= plume.update(sample, target)
            values |= {name: distance(sample, target) for name, distance in self.distances.items()}
            if self.features is not None:
                values["features"] = self._features_of(sample)
            if "plume" in self.metrics and self.sequences is not None:
                values["output"] = self.loader.processor.to_images(sample)
            gathered.add(values)
        return self._column(gathered.collect(), [a for a in (quality, plume, usage) if a.sums])

    def _column(self, values: dict[str, torch.Tensor], accumulators: list) -> Column:
        outputs, features = values.pop("output", None), values.pop("features", None)
        figures = {"num_frames": len(values.pop("row"))}
        for accumulator in accumulators:
            accumulator.reduce(lambda tensor: self.accelerator.reduce(tensor, "sum"))
            figures |= accumulator.compute()
        for name in (*self.distances, "bytes_per_frame", "payload_bytes_per_frame"):
            if name in values:
                figures[name] = float(values[name].double().mean())
        real = None if features is None else self._real_features
        if self.accelerator.is_main_process:
            if real is not None:
                figures |= distribution_distances(real, features)
            if "plume" in self.metrics:
                figures["flicker"] = None if outputs is None else flicker(outputs, self._targets, self.sequences)
        return Column(figures, values)

    def _features_of(self, sample: torch.Tensor) -> torch.Tensor:
        return self.features(self.loader.processor.to_images(sample).permute(0, 3, 1, 2))

    @cached_property
    def _real_features(self) -> torch.Tensor:
        gathered = _Rows(self.accelerator)
        for batch in self.loader.epoch(0):
            gathered.add({"row": batch["row"], "features": self._features_of(batch["pixel_values"])})
        return gathered.collect()["features"]

    @cached_property
    def _targets(self) -> torch.Tensor:
        return self.loader.frames.__getitems__(range(len(self.loader.frames)))["image"].cpu()


class _Rows:
    """Values of frames, by row; `collect` brings those of all processes together, in the order of the rows."""

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.batches: list[dict[str, torch.Tensor]] = []

    def add(self, values: dict[str, torch.Tensor]) -> None:
        self.batches.append(values)

    def collect(self) -> dict[str, torch.Tensor]:
        """On every process, on the CPU."""
        columns = {name: torch.cat([batch[name] for batch in self.batches]) for name in self.batches[0]}
        columns["row"] = columns["row"].to(self.accelerator.device) + 1  # 0 marks the padding below
        for name, values in columns.items():
            padded = self.accelerator.pad_across_processes(values.contiguous(), dim=0)
            columns[name] = self.accelerator.gather(padded).cpu()
        order = columns["row"].argsort()[(columns["row"] == 0).sum() :]
        columns = {name: values[order] for name, values in columns.items()}
        return columns | {"row": columns["row"] - 1}
