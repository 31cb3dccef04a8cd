"""Pieces (a clip's frames) computed by several processes and kept until the dataset is whole.

An interrupted run goes on where it stopped.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np

from .folder import write_atomically
from .processes import start_pool


def fingerprint(settings: dict) -> str:
    """12 hexadecimal digits that change with any value in `settings`."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


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
