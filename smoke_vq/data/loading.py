"""From a name to frames: a prepared folder, a folder of images, a packed safetensors file, or a Hub dataset."""

from pathlib import Path

from .frames import DatasetFrames, PackedFrames, check_columns


def load_frames(
    source: str,
    split: str = "train",
    size: int = 64,
    packed: bool = True,
    resize: bool = False,
    max_frames: int | None = None,
) -> PackedFrames | DatasetFrames:
    """Load one split.

    Args:
        source: a folder that `load_dataset` reads (Parquet with columns `image` and perhaps `alpha`, or images), a
            folder of `<split>.safetensors` files or one such file (read without the datasets package), or a Hub
            dataset "user/name".
        split: its name.
        size: height and width of the frames.
        packed: decode everything into memory once; otherwise decode frames when they are asked for.
        resize: bring frames of another size to `size` instead of refusing them.
        max_frames: at most so many, evenly spaced over the split.

    Raises:
        FileNotFoundError: no such folder, file or dataset.
        ValueError: no such split, no frames, a frame that cannot be decoded or has another size or other channels.
    """
    path = Path(source)
    file = path if path.suffix == ".safetensors" else path / f"{split}.safetensors"
    if file.is_file():
        frames = PackedFrames.load(file)
        if frames.size != (size, size):
            raise ValueError(f"{file} holds frames of {frames.size[1]}x{frames.size[0]}: expected {size}x{size}.")
        return frames.select(max_frames)
    packed_splits = sorted(other.stem for other in path.glob("*.safetensors"))
    if packed_splits:
        raise ValueError(f"{source} has no split {split!r}: found {packed_splits}.")
    dataset = open_dataset(source, split)
    if len(dataset) == 0:
        raise ValueError(f"Split {split!r} of {source} has no frames.")
    if max_frames is not None and max_frames < len(dataset):
        rows = [round(i * (len(dataset) - 1) / max(1, max_frames - 1)) for i in range(max_frames)]
        dataset = dataset.select(rows)
    frames = DatasetFrames(dataset, size, resize, name=f"split {split!r} of {source}")
    return frames.pack() if packed else frames


def stream_frames(source: str, split: str = "train"):
    """Open one split as a `datasets.IterableDataset` with the columns that training reads."""
    dataset = open_dataset(source, split, streaming=True)
    if dataset.column_names is None:
        dataset = dataset._resolve_features()
    return dataset.select_columns(check_columns(dataset, f"split {split!r} of {source}"))


def open_dataset(source: str, split: str, streaming: bool = False):
    """`datasets.load_dataset` with one sentence for each way in which the name can be wrong."""
    path = Path(source)
    if path.suffix == ".safetensors" or path.is_absolute() or source.startswith((".", "~")) or source.count("/") != 1:
        if not path.exists():
            raise FileNotFoundError(f"There is no dataset at {source}: expected a folder or a Hub name 'user/name'.")
        if path.is_dir() and not any(path.iterdir()):
            raise FileNotFoundError(f"The dataset folder {source} is empty.")
    import datasets

    try:
        return datasets.load_dataset(source, split=split, streaming=streaming)
    except ValueError as error:
        if "corresponds to no data" in str(error):
            raise ValueError(f"Split {split!r} of {source} has no frames.") from error
        if "Unknown split" in str(error) or "Bad split" in str(error):
            raise ValueError(f"{source} has no split {split!r}: {_first_line(error)}") from error
        raise ValueError(f"{source} cannot be read as a dataset: {_first_line(error)}") from error
    except datasets.exceptions.DatasetGenerationError as error:
        raise ValueError(f"{source} cannot be read as a dataset: {_first_line(error.__cause__ or error)}") from error
    except FileNotFoundError as error:  # DatasetNotFoundError and DataFilesNotFoundError among them
        raise FileNotFoundError(f"There is no dataset at {source}: {_first_line(error)}") from error
    except ConnectionError as error:
        raise FileNotFoundError(
            f"The dataset {source} is neither a folder here nor to be had from the Hub: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
