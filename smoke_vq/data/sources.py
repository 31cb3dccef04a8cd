"""From a name to frames: a prepared folder, images, a packed safetensors file, a Hub dataset, or simulated plumes."""

import re
from pathlib import Path

from ..downloads.errors import first_line
from ..simulation import SIMULATION_VERSION
from .frames import DatasetFrames, PackedFrames, check_columns

SIMULATED = "simulated"
DEFAULT_SIMULATION = "default"


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
            folder of `<split>.safetensors` files or one such file (read without the datasets package), a Hub dataset
            "user/name", or "simulated" or "simulated:CONFIGURATION" for plumes that are simulated here, once, and kept
            in the cache of datasets. (A folder of that name is "./simulated".)
        split: its name.
        size: height and width of the frames.
        packed: decode everything into memory once; otherwise decode frames when they are asked for.
        resize: bring frames of another size to `size` instead of refusing them.
        max_frames: at most so many, evenly spaced over the split.

    Raises:
        FileNotFoundError: no such folder, file or dataset.
        ValueError: no such split or configuration, no frames, a frame that cannot be decoded or has another size or
            other channels.
    """
    file = _packed_file(source, split)
    if file is not None:
        frames = PackedFrames.load(file)
        if frames.size != (size, size):
            raise ValueError(f"{file} holds frames of {frames.size[1]}x{frames.size[0]}: expected {size}x{size}.")
        return frames.select(max_frames)
    dataset = open_dataset(source, split)
    if len(dataset) == 0:
        raise ValueError(f"Split {split!r} of {source} has no frames.")
    frames = DatasetFrames(dataset, size, resize, name=f"split {split!r} of {source}").select(max_frames)
    return frames.pack() if packed else frames


def stream_frames(source: str, split: str = "train"):
    """Open one split as a `datasets.IterableDataset` with the columns that training reads."""
    dataset = open_dataset(source, split, streaming=True)
    if dataset.column_names is None:
        dataset = dataset._resolve_features()
    return dataset.select_columns(check_columns(dataset, f"split {split!r} of {source}"))


def simulation_of(source: str) -> str | None:
    """The configuration that a source such as "simulated:small" names; None for a source of another kind."""
    name, colon, configuration = source.partition(":")
    if name != SIMULATED:
        return None
    return configuration if colon else DEFAULT_SIMULATION


def open_dataset(source: str, split: str, streaming: bool = False):
    """`datasets.load_dataset` with one sentence for each way in which the name can be wrong."""
    configuration = simulation_of(source)
    if configuration is not None:
        from ..preparation.plumes.builder import load_simulated

        return load_simulated(configuration, split, streaming)
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
            raise ValueError(f"{source} has no split {split!r}: {first_line(error)}") from error
        raise ValueError(f"{source} cannot be read as a dataset: {first_line(error)}") from error
    except datasets.exceptions.DatasetGenerationError as error:
        raise ValueError(f"{source} cannot be read as a dataset: {first_line(error.__cause__ or error)}") from error
    except FileNotFoundError as error:  # DatasetNotFoundError and DataFilesNotFoundError among them
        raise FileNotFoundError(f"There is no dataset at {source}: {first_line(error)}") from error
    except ConnectionError as error:
        raise FileNotFoundError(
            f"The dataset {source} is neither a folder here nor to be had from the Hub: {first_line(error)}"
        ) from error


def dataset_revision(source: str) -> str | None:
    """Which version of its data a source names: the Hub's commit, or the version of the simulation.

    None for a local folder or file.
    """
    if simulation_of(source) is not None:
        return SIMULATION_VERSION
    if Path(source).exists() or source.count("/") != 1:
        return None
    import datasets

    found = datasets.load_dataset_builder(source).hash  # of what load_dataset opened, from the cache where offline
    return found if found is not None and re.fullmatch("[0-9a-f]{40}", found) else None


def _packed_file(source: str, split: str) -> Path | None:
    """The safetensors file of a split, or None for a source of another kind."""
    if simulation_of(source) is not None:
        return None
    path = Path(source)
    file = path if path.suffix == ".safetensors" else path / f"{split}.safetensors"
    if file.is_file():
        return file
    packed_splits = sorted(other.stem for other in path.glob("*.safetensors"))
    if packed_splits:
        raise ValueError(f"{source} has no split {split!r}: found {packed_splits}.")
    return None
