"""A folder that `datasets.load_dataset` reads as it stands: parquet shards, a card, a contact sheet.

README.md is written last: a folder without one is unfinished.
"""

import io
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..pictures import image_grid

CONTACT_SHEET_TILE = 128
WORK_FOLDER = ".clips"
OUR_FILES = {WORK_FOLDER, "data", "README.md", "dropped.json", "contact_sheet.png"}


def check_output_folder(folder: str | Path) -> Path:
    """The folder, new or left by an interrupted run.

    Raises:
        ValueError: it is a file, holds something else, or a finished dataset.
    """
    folder = Path(folder)
    if (folder / "README.md").exists():
        raise ValueError(f"The output folder '{folder}' already holds a README.md: choose another folder or remove it.")
    return check_ours(folder, OUR_FILES, WORK_FOLDER)


def check_ours(folder: str | Path, ours: set[str], first: str) -> Path:
    """The folder, new or begun by us.

    Args:
        ours: names of what a preparation writes there.
        first: the one of them that it writes first.

    Raises:
        ValueError: it is a file, or holds something else.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output '{folder}' is a file: expected a folder.")
    names = {path.name for path in folder.iterdir() if path.suffix != ".tmp"} if folder.is_dir() else set()
    if names - ours or (names and not (folder / first).exists()):
        foreign = sorted(names - ours or names)
        raise ValueError(f"The output folder '{folder}' holds something else ('{foreign[0]}'): choose another one.")
    return folder


def write_atomically(path: Path, content: bytes) -> None:
    """The whole file or none: a temporary name first, in the same folder, then a rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def png(image: np.ndarray) -> dict:
    """(H, W) or (H, W, 3) uint8 as a value of the column type `datasets.Image`."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write_split(folder: Path, split: str, rows: Iterable[dict], features, rows_per_shard: int = 20_000) -> int:
    """Rows as `data/<split>-00000-of-0000N.parquet`; returns how many.

    Args:
        rows: one dict per row with a value for each of the features; images by `png`.
        features: `datasets.Features`.
    """
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    shards, count = [], 0
    for batch in batches(rows, rows_per_shard):
        shards.append(data / f"{split}-{len(shards):05d}.tmp")
        shards[-1].write_bytes(parquet(batch, features))
        count += len(batch)
    for old in data.glob(f"{split}-*.parquet"):
        old.unlink()
    for index, shard in enumerate(shards):
        os.replace(shard, data / f"{split}-{index:05d}-of-{len(shards):05d}.parquet")
    return count


def parquet(rows: list[dict], features) -> bytes:
    """The content of a Parquet file, without `datasets`' progress bar for it; arguments as for `write_split`."""
    from datasets import Dataset, are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    buffer = io.BytesIO()
    columns = {name: [row[name] for row in rows] for name in features}
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        Dataset.from_dict(columns, features=features).to_parquet(buffer)
    finally:
        if shown:
            enable_progress_bars()
    return buffer.getvalue()


def batches(rows: Iterable[dict], size: int) -> Iterator[list[dict]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def write_card(folder: Path, text: str, features, num_rows: dict[str, int], **metadata) -> None:
    """README.md: YAML with the data files, the features and the counts, then the text.

    Args:
        num_rows: by split.
        metadata: further entries of a dataset card's YAML (license, tags, pretty_name).
    """
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    splits = SplitDict()
    for split, count in num_rows.items():
        size = sum(path.stat().st_size for path in (folder / "data").glob(f"{split}-*.parquet"))
        splits.add(SplitInfo(split, num_bytes=size, num_examples=count))
    files = [{"split": split, "path": f"data/{split}-*"} for split in num_rows]
    card = DatasetCardData(**metadata, configs=[{"config_name": "default", "data_files": files}])
    size = sum(split.num_bytes for split in splits.values())
    info = DatasetInfo(features=features, splits=splits, download_size=size, dataset_size=size)
    DatasetInfosDict({"default": info}).to_dataset_card_data(card)
    write_atomically(folder / "README.md", f"---\n{card.to_yaml()}\n---\n\n{text.strip()}\n".encode())


def write_contact_sheet(path: Path, rows: list[tuple[str, list[np.ndarray]]]) -> None:
    """Rows of square images, (S, S) or (S, S, 3) uint8, each with a label above it, as one PNG."""
    labels, images = zip(*rows, strict=True)
    buffer = io.BytesIO()
    scale = CONTACT_SHEET_TILE / len(images[0][0])
    image_grid(images, labels, scale, labels_above=True, smooth=True).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def remove_work_folder(folder: Path) -> None:
    shutil.rmtree(folder / WORK_FOLDER, ignore_errors=True)
