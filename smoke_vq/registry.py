"""Look a part up in its table, and say what there is when the name is wrong."""

from collections.abc import Mapping
from typing import TypeVar

Part = TypeVar("Part")


def choose(table: Mapping[str, Part], name: str, what: str) -> Part:
    """Return `table[name]`.

    Raises:
        ValueError: the table has no such name; the sentence lists those it has.
    """
    if name not in table:
        raise ValueError(f"Unknown {what} {name!r}: expected one of {sorted(table)}.")
    return table[name]
