"""The base class of data sources."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...downloads.errors import first_line
from ..dataset_frames import DatasetFrames
from ..frames import Frames


class Source:
    """A kind of data source; `name` is always what the user wrote, such as "simulated:small".

    A new one needs `matches` and, unless `datasets.load_dataset` takes the name, `open` or, for data that are not a
    `datasets.Dataset`, `load`.

    is_local: names are paths of this machine, of which only the last part is published.
    on_hub: names are datasets of the Hub.
    has_frame_rate: `load` takes `fps`, the frames per second that are taken.
    """

    is_local = False
    on_hub = False
    has_frame_rate = False

    def matches(self, name: str) -> bool:
        """Whether this source reads the name."""
        raise NotImplementedError

    def check(self, name: str) -> None:
        """Raise a FileNotFoundError or ValueError if it is known at once that there are no such data."""

    def check_split(self, name: str, split: str, size: int) -> None:
        """Raise an error if it is known without reading the data that the split is missing or of another size.

        Raises:
            FileNotFoundError, ValueError: as `open`.
        """

    def count(self, name: str, split: str) -> int | None:
        """The number of frames of a split, if a file's header says it; otherwise None."""
        return None

    def open(self, name: str, split: str):
        """One split as a `datasets.Dataset` with all of its columns.

        Raises:
            FileNotFoundError: the dataset does not exist.
            ValueError: the split is unknown or empty, the files are damaged, or a row names a file elsewhere.
        """
        import datasets

        with one_sentence(name, split):
            dataset = datasets.load_dataset(name, split=split)
        _check_paths(dataset, name)
        return dataset

    def load(self, name: str, split: str, size: int, resize: bool) -> Frames:
        """One split as frames, not yet in memory if it takes decoding."""
        dataset = self.open(name, split)
        if len(dataset) == 0:
            raise ValueError(f"Split {split!r} of {name} has no frames.")
        return DatasetFrames(dataset, size, resize, name=f"split {split!r} of {name}")

    def revision(self, name: str) -> str | None:
        """The version of the data that the name stands for now, or None if it has none."""
        return None

    def describe(self, name: str, published_name: str) -> dict[str, str | None]:
        """`title` and `license` for a model card.

        Args:
            published_name: without folders of this machine.
        """
        return {"title": published_name, "license": None}


@contextmanager
def one_sentence(name: str, split: str) -> Iterator[None]:
    """Turn the errors of the datasets package, which reads a split, into those of `Source.open`."""
    import datasets

    try:
        yield
    except ValueError as error:
        if "corresponds to no data" in str(error):
            raise ValueError(f"Split {split!r} of {name} has no frames.") from error
        if "Unknown split" in str(error) or "Bad split" in str(error):
            raise ValueError(f"{name} has no split {split!r}: {first_line(error)}") from error
        raise ValueError(f"{name} cannot be read as a dataset: {first_line(error)}") from error
    except RuntimeError as error:  # a folder with code, which datasets does not run
        raise ValueError(f"{name} cannot be read as a dataset: {first_line(error)}") from error
    except datasets.exceptions.DatasetGenerationError as error:
        raise ValueError(f"{name} cannot be read as a dataset: {first_line(error.__cause__ or error)}") from error
    except (FileNotFoundError, ConnectionError) as error:
        offline = "the Hub cannot be reached: " if isinstance(error, ConnectionError) else ""
        raise FileNotFoundError(f"There is no dataset at {name}: {offline}{first_line(error)}") from error


def _check_paths(dataset, name: str) -> None:
    """Refuse images that a row names by a path outside the dataset's folder and the caches of the Hub.

    A Parquet file may name any file of this machine, or an address, in place of an image, and `datasets` would open it.

    Raises:
        ValueError: shows the path.
    """
    import datasets
    import pyarrow.compute
    from huggingface_hub import constants

    own = Path(name) if Path(name).is_dir() else Path(name).parent
    caches = (constants.HF_HUB_CACHE, datasets.config.HF_DATASETS_CACHE, datasets.config.DOWNLOADED_DATASETS_PATH)
    roots = tuple(os.path.join(os.path.abspath(folder), "") for folder in (*([own] if own.exists() else []), *caches))
    for column, feature in dataset.features.items():
        if not isinstance(feature, datasets.Image):
            continue
        stored = dataset.data.column(column)
        without_bytes = pyarrow.compute.struct_field(stored, "bytes").is_null()
        if not pyarrow.compute.any(without_bytes).as_py():
            continue
        for path in pyarrow.compute.struct_field(stored, "path").filter(without_bytes).to_pylist():
            if path is not None and not os.path.abspath(path).startswith(roots):
                raise ValueError(f"{name} names {path!r} as an image, outside its own folder: it is not read.")
