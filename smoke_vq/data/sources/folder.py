"""A local folder or file that `datasets.load_dataset` reads."""

from pathlib import Path

from .base import Source


class FolderSource(Source):
    """Parquet files, image folders and the like; its README.md, if it is a dataset card, gives title and license."""

    is_local = True

    def matches(self, name: str) -> bool:
        return True

    def check(self, name: str) -> None:
        path = Path(name)
        if not path.exists():
            raise FileNotFoundError(f"There is no dataset at {name}: expected a folder or a Hub name 'user/name'.")
        if path.is_file():
            raise FileNotFoundError(
                f"There is no dataset at {name}, which is a file: expected a folder, a .safetensors file or a Hub name "
                f"'user/name'."
            )
        if path.is_dir() and not any(path.iterdir()):
            raise FileNotFoundError(f"The dataset folder {name} is empty.")

    def open(self, name: str, split: str):
        self.check(name)
        return super().open(name, split)

    def describe(self, name: str, published_name: str) -> dict[str, str | None]:
        path = Path(name) / "README.md"
        if not path.is_file():
            return super().describe(name, published_name)
        import yaml
        from huggingface_hub import DatasetCard

        try:
            card = DatasetCard.load(path).data.to_dict()
        except (ValueError, yaml.YAMLError):  # the user's own README, without metadata
            card = {}
        title = f"{published_name} ({card['pretty_name']})" if card.get("pretty_name") else published_name
        return {"title": title, "license": card.get("license_name") or card.get("license")}
