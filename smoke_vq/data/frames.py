"""The interface of frames for a loader, and frames that are packed in memory as uint8."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import torch

from ..limits import check_safetensors
from .order import permutation


class Frames:
    """The interface of frames for a loader.

    name: where they came from, for error messages.
    size: (H, W) of every frame.
    has_alpha: whether a batch has `alpha`.
    in_memory: whether indexing is fast enough to need no worker processes.
    sequences: (N,) int64, equal for neighbours that follow each other in time (see `runs`), or None if unknown.
    """

    name: str
    size: tuple[int, int]
    has_alpha: bool
    in_memory = False
    sequences: torch.Tensor | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """{image (B, H, W, 3) uint8, row (B,) int64} and, with alpha, alpha (B, H, W) uint8."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """A short text that changes with the frames, so that a run does not resume with other data."""
        raise NotImplementedError

    def select(self, count: int | None) -> "Frames":
        """At most `count` frames, evenly spaced, so that every clip keeps its share."""
        return self if count is None or count >= len(self) else self._select(count)

    def _select(self, count: int) -> "Frames":
        raise NotImplementedError

    def pack(self) -> "Frames":
        """The same frames in memory."""
        firsts = range(0, len(self), 1024)
        batches = [self.__getitems__(range(first, min(first + 1024, len(self)))) for first in firsts]
        packed = {column: torch.cat([batch[column] for batch in batches]) for column in batches[0]}
        return PackedFrames(packed["image"], packed.get("alpha"), self.name, self.sequences)

    def to(self, device) -> "Frames":
        """The same frames on a device, if they are in memory."""
        return self

    def epoch_order(self, seed: int, epoch: int) -> torch.Tensor:
        """The rows of a training epoch, (N,) int64: a pure function of its arguments."""
        return permutation(len(self), seed, epoch)

    def at_epoch(self, seed: int, epoch: int) -> "Frames":
        """The frames as they are in one epoch, for frames that draw at random."""
        return self


class PackedFrames(Frames):
    """All frames as one uint8 tensor, decoded once: 46-140 thousand frames a second, from PNG 2-8 thousand.

    Args:
        images: (N, H, W, 3) uint8.
        alphas: (N, H, W) uint8, or None.
        sequences: (N,) int64 or None.
    """

    in_memory = True

    def __init__(
        self,
        images: torch.Tensor,
        alphas: torch.Tensor | None = None,
        name: str = "frames",
        sequences: torch.Tensor | None = None,
    ):
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) == 0:
            raise ValueError(
                f"{name}: expected a (N, H, W, 3) uint8 tensor of at least one frame, found {images.dtype} "
                f"{tuple(images.shape)}."
            )
        for what, tensor, dtype, axes in (("alphas", alphas, torch.uint8, 3), ("sequences", sequences, torch.int64, 1)):
            if tensor is not None and (tensor.dtype != dtype or tensor.shape != images.shape[:axes]):
                raise ValueError(
                    f"{name}: expected {what} of {tuple(images.shape[:axes])} {dtype}, found {tensor.dtype} "
                    f"{tuple(tensor.shape)}."
                )
        self.images, self.alphas, self.name, self.sequences = images, alphas, name, sequences
        self.size, self.has_alpha = tuple(images.shape[1:3]), alphas is not None

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = torch.as_tensor(rows)
        place = rows.to(self.images.device, non_blocking=True)
        batch = {"image": self.images.index_select(0, place), "row": rows}  # five times as fast as images[place]
        if self.alphas is not None:
            batch["alpha"] = self.alphas.index_select(0, place)
        return batch

    def fingerprint(self) -> str:
        """Number of frames and CRC-32 of all pixels."""
        checksum = zlib.crc32(self.images.cpu().contiguous().numpy().data)
        if self.alphas is not None:
            checksum = zlib.crc32(self.alphas.cpu().contiguous().numpy().data, checksum)
        return f"{len(self)}-{checksum:08x}"

    def to(self, device) -> "PackedFrames":
        alphas = None if self.alphas is None else self.alphas.to(device)
        return PackedFrames(self.images.to(device), alphas, self.name, self.sequences)

    def _select(self, count: int) -> "PackedFrames":
        rows = torch.linspace(0, len(self) - 1, count).round().long()
        alphas = None if self.alphas is None else self.alphas[rows]
        sequences = None if self.sequences is None else runs(self.sequences[rows], rows)
        return PackedFrames(self.images[rows], alphas, self.name, sequences)

    def pack(self) -> "PackedFrames":
        return self

    def save(self, path: Path) -> None:
        """Write one safetensors file, under a temporary name until it is complete."""
        from safetensors.torch import save_file

        tensors = {"images": self.images, "alphas": self.alphas, "sequences": self.sequences}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items() if tensor is not None}
        partial = path.with_name(path.name + ".partial")
        try:
            save_file(tensors, partial)
            partial.chmod(0o644)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> "PackedFrames":
        """Read a file that `save` wrote.

        Raises:
            ValueError: the file is damaged, or has other tensors.
        """
        from safetensors.torch import load_file

        cls.shape_in(path)
        tensors = load_file(path)
        return cls(tensors["images"], tensors.get("alphas"), str(path), tensors.get("sequences"))

    @staticmethod
    def shape_in(path: Path) -> tuple[int, ...]:
        """The shape of the images in a file that `save` wrote, from its header.

        Raises:
            ValueError: the file is damaged, or has other tensors.
        """
        from safetensors import SafetensorError, safe_open

        try:
            check_safetensors(path)
            with safe_open(path, framework="pt") as file:
                names = sorted(file.keys())
                shape = tuple(file.get_slice("images").get_shape()) if "images" in names else None
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"{path} is not a complete safetensors file: {str(error).rstrip('.')}.") from error
        if shape is None:
            raise ValueError(f"{path} has no tensor 'images': expected (N, H, W, 3) uint8, found {names}.")
        return shape


def runs(sequences: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Number the runs of frames that follow each other: the same sequence, at the next place in it.

    Args:
        sequences: (N,), equal for frames of one sequence.
        places: (N,) whole numbers, where in the sequence a frame is.

    Returns:
        (N,) int64.
    """
    follows = (sequences[1:] == sequences[:-1]) & (places[1:] == places[:-1] + 1)
    return torch.cat([torch.zeros(1, dtype=torch.int64), (~follows).long().cumsum(dim=0)])
