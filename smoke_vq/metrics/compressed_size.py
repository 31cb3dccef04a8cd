"""Size of compressed frames."""

from ..float64 import to_float64
from .figure import Figure
from .metric import Batch, Metric


class CompressedSize(Metric):
    """Mean size of a compressed frame. No figures where the size is unknown."""

    figures = (
        Figure("bytes_per_frame", "size", "lower", ".1f", "bytes", "mean size of a frame, file headers included"),
        Figure("payload_bytes_per_frame", "payload", "lower", ".1f", "bytes", "the same without file headers"),
    )

    def update(self, batch: Batch) -> None:
        sizes = {"bytes_per_frame": batch.num_bytes, "payload_bytes_per_frame": batch.num_payload_bytes}
        for name, size in sizes.items():
            if size is not None:
                self.keep(name, size)
                self.add(name, to_float64(size).sum())
                self.add(f"{name}_frames", size.new_tensor(len(size)))

    def compute(self) -> dict[str, float]:
        names = [figure.name for figure in self.figures if figure.name in self.sums]
        return {name: float(self.sums[name] / self.sums[f"{name}_frames"]) for name in names}
