"""Reading settings.json, which says what the content of a dataset folder depends on."""

import json
from pathlib import Path
from typing import Any

from ..layout import SETTINGS
from ..limits import MAX_TEXT_BYTES

_NAMES = {bool: "true or false", int: "a whole number", dict: "an object"}


def read_settings(folder: str | Path, expected: dict[str, type] | None = None) -> dict[str, Any] | None:
    """The content of the folder's settings.json, or None if it has none.

    Args:
        expected: keys that must be there, with the types of their values: bool, int or dict.

    Raises:
        ValueError: the file is damaged: no JSON object, or without an expected value.
    """
    file = Path(folder, SETTINGS)
    if not file.is_file():
        return None
    if file.stat().st_size > MAX_TEXT_BYTES:
        raise ValueError(_damaged(file, f"at most {MAX_TEXT_BYTES:,} bytes", f"{file.stat().st_size:,}"))
    content = file.read_bytes()
    try:
        settings = json.loads(content)
    except RecursionError as error:
        raise ValueError(_damaged(file, "a JSON object", "one that is nested too deep")) from error
    except ValueError as error:  # UnicodeDecodeError is a ValueError
        found = f"text that is not JSON ({error})" if content.strip() else "an empty file"
        raise ValueError(_damaged(file, "a JSON object", found)) from error
    if not isinstance(settings, dict):
        raise ValueError(_damaged(file, "a JSON object", f"{json.dumps(settings):.40}"))
    for key, kind in (expected or {}).items():
        if not isinstance(settings.get(key), kind):
            found = f"{json.dumps(settings[key]):.40}" if key in settings else "no such key"
            raise ValueError(_damaged(file, f"{key!r} to be {_NAMES[kind]}", found))
    return settings


def _damaged(file: Path, expected: str, found: str) -> str:
    return (
        f"{file} is damaged: expected {expected}, found {found}. Restore the file from a copy, or delete the folder "
        f"and write it again."
    )
