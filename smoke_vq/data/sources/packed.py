"""Frames that `PackedFrames.save` wrote: read without the datasets package."""

from pathlib import Path

from ..frames import PackedFrames
from .base import Source


class PackedSource(Source):
    """A safetensors file, or a folder with one for each split (`<split>.safetensors`)."""

    is_local = True

    def matches(self, name: str) -> bool:
        path = Path(name)
        return path.is_file() if path.suffix == ".safetensors" else any(path.glob("*.safetensors"))

    def open(self, name: str, split: str):
        raise ValueError(f"{name} has packed frames, which have no columns: expected the dataset they were made from.")

    def load(self, name: str, split: str, size: int, resize: bool) -> PackedFrames:
        self.check_split(name, split, size)
        return PackedFrames.load(_file(name, split))

    def check_split(self, name: str, split: str, size: int) -> None:
        file = _file(name, split)
        shape = PackedFrames.shape_in(file)
        if len(shape) == 4 and shape[1:3] != (size, size):
            raise ValueError(f"{file} holds frames of {shape[2]}x{shape[1]}: expected {size}x{size}.")

    def count(self, name: str, split: str) -> int:
        return PackedFrames.shape_in(_file(name, split))[0]


def _file(name: str, split: str) -> Path:
    path = Path(name)
    file = path if path.suffix == ".safetensors" else path / f"{split}.safetensors"
    if not file.is_file():
        splits = sorted(other.stem for other in path.glob("*.safetensors"))
        raise ValueError(f"{name} has no split {split!r}: found {splits}.")
    return file
