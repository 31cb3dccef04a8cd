"""A dataset folder that `datasets.load_dataset` reads: Parquet files, a card and a contact sheet.

README.md is written last, after checksums.sha256 of all files: a folder without it is incomplete.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import jinja2
import numpy as np
from huggingface_hub.utils.sha import sha_fileobj

from ..layout import CARD, CHECKSUMS, DATA, DATASET_FILES, SETTINGS
from ..limits import read_picture
from ..pictures import image_grid
from .settings import read_settings

_CONTACT_SHEET_TILE = 128  # pixels


def check_output_folder(folder: str | Path, files: set[str], first: str) -> Path:
    """Return the folder if it does not exist, is empty, or was started by an earlier run.

    Args:
        files: names of everything that the preparation writes there.
        first: the one of them that it writes first.

    Raises:
        ValueError: the path is a file, or the folder contains other files.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output '{folder}' is a file: expected a folder.")
    names = {path.name for path in folder.iterdir() if path.suffix != ".tmp"} if folder.is_dir() else set()
    if names - files or (names and first not in names):
        other = sorted(names - files or names)[0]
        raise ValueError(f"The output folder '{folder}' contains other files ('{other}'): choose another folder.")
    return folder


def open_output_folder(folder: str | Path, files: set[str], settings: dict[str, Any]) -> Path:
    """Create the folder and its settings file, or continue one that was started with the same settings.

    Args:
        files: names of everything that is written there.
        settings: everything that the content depends on, as JSON values.

    Raises:
        ValueError: the folder contains other files, was started with other settings, or its settings are damaged.
    """
    folder = check_output_folder(folder, files, SETTINGS)
    found = read_settings(folder)
    if found is not None:
        changed = [key for key in {**found, **settings} if found.get(key) != settings.get(key)]
        if changed:
            differences = ", ".join(f"{key} {found.get(key)}, not {settings.get(key)}" for key in changed)
            raise ValueError(f"'{folder}' was started with other settings ({differences}): choose another folder.")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())
    return folder


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file in the same folder, which replaces `path` if the block ends without an error."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write the complete file or nothing."""
    with open_atomically(path) as file:
        file.write(content)


def remove_temporary_files(folder: Path, names: Iterable[str]) -> None:
    """Remove the temporary files that a killed `write_atomically` left in `folder` for files called `names`."""
    names = set(names)
    for path in folder.glob("*.tmp"):
        if path.name.rsplit(".", 2)[0] in names:
            path.unlink(missing_ok=True)


def png(image: np.ndarray) -> dict:
    """(H, W) or (H, W, 3) uint8 as a value of a `datasets.Image` column."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def decode_png(value: dict) -> np.ndarray:
    """The inverse of `png`."""
    return np.array(read_picture(io.BytesIO(value["bytes"]), "A picture of the dataset"))


def frame_features(columns: dict):
    """`datasets.Features` with the images `image` and `alpha`, and further columns with the given dtypes."""
    from datasets import Features, Image, Value

    def feature(dtype):
        return {name: Value(d) for name, d in dtype.items()} if isinstance(dtype, dict) else Value(dtype)

    return Features({"image": Image(), "alpha": Image()} | {name: feature(dtype) for name, dtype in columns.items()})


def write_split(folder: Path, split: str, rows: Iterable[dict], features, rows_per_shard: int = 20_000) -> int:
    """Write rows as `data/<split>-00000-of-0000N.parquet`, and return their number.

    Args:
        rows: one dict per row with a value for each feature; images as returned by `png`.
        features: `datasets.Features`.
    """
    data = folder / DATA
    data.mkdir(parents=True, exist_ok=True)
    for old in data.glob(f"{split}-*"):
        old.unlink()
    shards, count, rows = [], 0, iter(rows)
    while batch := list(islice(rows, rows_per_shard)):
        shards.append(data / f"{split}-{len(shards):05d}.tmp")
        shards[-1].write_bytes(parquet(batch, features))
        count += len(batch)
    for index, shard in enumerate(shards):
        os.replace(shard, data / f"{split}-{index:05d}-of-{len(shards):05d}.parquet")
    return count


def parquet(rows: list[dict], features) -> bytes:
    """The content of a Parquet file, made without a progress bar; arguments as for `write_split`."""
    from datasets import Dataset, are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    buffer = io.BytesIO()
    columns = {name: [row[name] for row in rows] for name in features}
    enabled = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        Dataset.from_dict(columns, features=features).to_parquet(buffer)
    finally:
        if enabled:
            enable_progress_bars()
    return buffer.getvalue()


def write_card(
    folder: Path, template: Path, values: dict[str, Any], features, num_rows: dict[str, int], **metadata
) -> None:
    """Write README.md, after checksums.sha256: YAML with data files, features and numbers of rows, and the text.

    Args:
        template: Jinja template of the text.
        values: of the variables in the template.
        num_rows: by split.
        metadata: further entries of the card's YAML (license, tags, pretty_name).
    """
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    splits = SplitDict()
    for split, count in num_rows.items():
        size = sum(path.stat().st_size for path in (folder / DATA).glob(f"{split}-*.parquet"))
        splits.add(SplitInfo(split, num_bytes=size, num_examples=count))
    files = [{"split": split, "path": f"{DATA}/{split}-*"} for split in num_rows]
    card = DatasetCardData(**metadata, configs=[{"config_name": "default", "data_files": files}])
    size = sum(split.num_bytes for split in splits.values())
    info = DatasetInfo(features=features, splits=splits, download_size=size, dataset_size=size)
    DatasetInfosDict({"default": info}).to_dataset_card_data(card)
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    text = environment.from_string(template.read_text(encoding="utf-8")).render(values)
    content = f"---\n{card.to_yaml()}\n---\n\n{text.strip()}\n".encode()
    _write_checksums(folder, content)
    write_atomically(folder / CARD, content)


def _write_checksums(folder: Path, card: bytes) -> None:
    """Record the sha256 of all files of a dataset's folder and of its card, which is not written yet.

    After a kill between the two, `smoke-vq verify` says that the card is missing.
    """
    checksums = {CARD: hashlib.sha256(card).hexdigest()}
    for path in (path for pattern in DATASET_FILES for path in folder.glob(pattern)):
        if path.name not in (CARD, CHECKSUMS):
            with path.open("rb") as file:
                checksums[path.relative_to(folder).as_posix()] = sha_fileobj(file).hex()
    lines = [f"{value}  {name}\n" for name, value in sorted(checksums.items())]  # as sha256sum writes them
    write_atomically(folder / CHECKSUMS, "".join(lines).encode())


def evenly_spaced(items: list, count: int) -> list:
    """At most `count` of the items, evenly spaced."""
    indices = np.linspace(0, len(items) - 1, count).round().astype(int).tolist() if items else []
    return [items[index] for index in sorted(set(indices))]


def write_contact_sheet(path: Path, rows: list[tuple[str, list[np.ndarray]]]) -> None:
    """Write rows of square images, (S, S) or (S, S, 3) uint8, each below its label, as one PNG."""
    labels, images = zip(*rows, strict=True)
    buffer = io.BytesIO()
    scale = _CONTACT_SHEET_TILE / len(images[0][0])
    image_grid(images, labels, scale, labels_above=True, smooth=True).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())
