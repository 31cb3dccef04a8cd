"""A folder that `datasets.load_dataset` reads as it stands: parquet shards, a card, a contact sheet.

Rows come in pieces (a clip, a simulation). Pieces are computed by several processes and kept in the work folder until
the dataset is whole, so that an interrupted run goes on where it stopped. README.md is written last: a folder without
one is unfinished.
"""

import hashlib
import io
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import numpy as np

WORK_FOLDER = ".clips"
OUR_FILES = {WORK_FOLDER, "data", "README.md", "dropped.json", "contact_sheet.png"}


def check_output_folder(folder: str | Path) -> Path:
    """The folder, new or left by an interrupted run.

    Raises:
        ValueError: it is a file, holds something else, or a finished dataset.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output '{folder}' is a file: expected a folder.")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if "README.md" in names:
        raise ValueError(f"The output folder '{folder}' already holds a README.md: choose another folder or remove it.")
    if names - OUR_FILES or (names and WORK_FOLDER not in names):
        foreign = sorted(names - OUR_FILES or names)
        raise ValueError(f"The output folder '{folder}' holds something else ('{foreign[0]}'): choose another one.")
    return folder


def fingerprint(settings: dict) -> str:
    """12 hexadecimal digits that change with any value in `settings`."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def write_atomically(path: Path, content: bytes) -> None:
    """The whole file or none: a temporary name first, in the same folder, then a rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def save_piece(path: Path, piece: dict) -> None:
    """A dict of arrays and of JSON values as one .npz."""
    arrays = {key: value for key, value in piece.items() if isinstance(value, np.ndarray)}
    values = {key: value for key, value in piece.items() if key not in arrays}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, __values__=np.array(json.dumps(values)), **arrays)
    write_atomically(path, buffer.getvalue())


def load_piece(path: Path) -> dict:
    with np.load(path, allow_pickle=False) as stored:
        piece = {key: stored[key] for key in stored.files}
    return {**json.loads(str(piece.pop("__values__"))), **piece}


def make_piece(function: Callable, argument, path: Path) -> Path:
    save_piece(path, function(argument))
    return path


def start_pool(function: Callable, num_proc: int) -> ProcessPoolExecutor:
    """Processes that share no threads with this one; a fork server imports once for all."""
    if "forkserver" in get_all_start_methods():
        context = get_context("forkserver")
        context.set_forkserver_preload([function.__module__])
    else:
        context = get_context("spawn")
    return ProcessPoolExecutor(num_proc, mp_context=context, initializer=ignore_interrupt)


def ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def make_pieces(
    function: Callable,
    arguments: dict[str, object],
    settings: dict[str, dict],
    folder: Path,
    num_proc: int = 1,
    name: str = "clips",
) -> dict[str, Path]:
    """`function(argument)` for each key, saved as a piece; pieces that an earlier run finished are not made again.

    Args:
        function: importable by name, argument -> dict of arrays and JSON values. It must not depend on its process.
        arguments: by key; the key names the file.
        settings: by key, what the piece depends on. Other settings, another piece.
        folder: the work folder.

    Returns:
        The files, in the order of `arguments`.
    """
    from tqdm.auto import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob("*.tmp"):
        left_over.unlink()
    safe = {key: re.sub(r"[^A-Za-z0-9._-]", "_", key) for key in arguments}
    paths = {key: folder / f"{safe[key]}-{fingerprint({'key': key, **settings[key]})}.npz" for key in arguments}
    todo = [key for key in arguments if not paths[key].exists()]
    with tqdm(total=len(arguments), initial=len(arguments) - len(todo), desc=name, unit="clip") as progress:
        if num_proc == 1:
            for key in todo:
                make_piece(function, arguments[key], paths[key])
                progress.update()
            return paths
        pool = start_pool(function, min(num_proc, max(len(todo), 1)))
        try:
            for future in as_completed([pool.submit(make_piece, function, arguments[key], paths[key]) for key in todo]):
                future.result()
                progress.update()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return paths


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
    from datasets import Dataset

    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    shards, count = [], 0
    for batch in batches(rows, rows_per_shard):
        columns = {name: [row[name] for row in batch] for name in features}
        shards.append(data / f"{split}-{len(shards):05d}.tmp")
        Dataset.from_dict(columns, features=features).to_parquet(str(shards[-1]))
        count += len(batch)
    for old in data.glob(f"{split}-*.parquet"):
        old.unlink()
    for index, shard in enumerate(shards):
        os.replace(shard, data / f"{split}-{index:05d}-of-{len(shards):05d}.parquet")
    return count


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


def write_contact_sheet(path: Path, rows: list[tuple[str, list[np.ndarray]]], tile: int = 128) -> None:
    """Rows of images, (H, W) or (H, W, 3) uint8, each row with a name above it, as one PNG."""
    from PIL import Image, ImageDraw

    label = 14
    sheet = Image.new("RGB", (tile * max(len(images) for _, images in rows), (tile + label) * len(rows)), (32, 32, 32))
    draw = ImageDraw.Draw(sheet)
    for row, (name, images) in enumerate(rows):
        draw.text((2, row * (tile + label) + 1), name, fill=(230, 230, 230))
        for column, image in enumerate(images):
            picture = Image.fromarray(image).convert("RGB").resize((tile, tile), Image.Resampling.BICUBIC)
            sheet.paste(picture, (column * tile, row * (tile + label) + label))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def remove_work_folder(folder: Path) -> None:
    shutil.rmtree(folder / WORK_FOLDER, ignore_errors=True)
