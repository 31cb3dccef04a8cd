"""The base class of data sources."""

from ...downloads.errors import first_line
from ..dataset_frames import DatasetFrames
from ..frames import Frames


class Source:
    """A kind of data source; `name` is always what the user wrote, such as "simulated:small".

    A new one needs `matches` and, unless `datasets.load_dataset` takes the name, `open` or, for data that are not a
    `datasets.Dataset`, `load`.

    is_local: names are paths of this machine, of which only the last part is published.
    on_hub: names are datasets of the Hub.
    """

    is_local = False
    on_hub = False

    def matches(self, name: str) -> bool:
        """Whether this source reads the name."""
        raise NotImplementedError

    def open(self, name: str, split: str):
        """One split as a `datasets.Dataset` with all of its columns.

        Raises:
            FileNotFoundError: the dataset does not exist.
            ValueError: the split is unknown or empty, or the files are damaged.
        """
        import datasets

        try:
            return datasets.load_dataset(name, split=split)
        except ValueError as error:
            if "corresponds to no data" in str(error):
                raise ValueError(f"Split {split!r} of {name} has no frames.") from error
            if "Unknown split" in str(error) or "Bad split" in str(error):
                raise ValueError(f"{name} has no split {split!r}: {first_line(error)}") from error
            raise ValueError(f"{name} cannot be read as a dataset: {first_line(error)}") from error
        except datasets.exceptions.DatasetGenerationError as error:
            raise ValueError(f"{name} cannot be read as a dataset: {first_line(error.__cause__ or error)}") from error
        except (FileNotFoundError, ConnectionError) as error:
            offline = "the Hub cannot be reached: " if isinstance(error, ConnectionError) else ""
            raise FileNotFoundError(f"There is no dataset at {name}: {offline}{first_line(error)}") from error

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
