"""A dataset of the Hugging Face Hub."""

import re
from pathlib import Path

from .base import Source, one_sentence


class HubSource(Source):
    """A name "user/name" that is not a local folder."""

    on_hub = True

    def matches(self, name: str) -> bool:
        is_repository = re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None
        return is_repository and not name.endswith(".safetensors") and not Path(name).exists()

    def check(self, name: str) -> None:
        path = Path(name)
        if path.parent.is_dir():
            raise FileNotFoundError(
                f"There is no dataset at {name}, but the folder {path.parent} exists (to load a Hub dataset of this "
                f"name, work in another folder)."
            )

    def check_split(self, name: str, split: str, size: int) -> None:
        import datasets

        with one_sentence(name, split):
            datasets.load_dataset_builder(name)  # from the cache when offline

    def revision(self, name: str) -> str | None:
        """The commit."""
        import datasets

        found = datasets.load_dataset_builder(name).hash  # of what load_dataset opened, from the cache when offline
        return found if found is not None and re.fullmatch("[0-9a-f]{40}", found) else None
