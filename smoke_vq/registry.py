"""Looking up a part by name, with an error message that lists the valid names."""

from collections.abc import Mapping
from typing import TypeVar

Part = TypeVar("Part")


def choose(table: Mapping[str, Part], name: str, what: str) -> Part:
    """Return `table[name]`.

    Raises:
        ValueError: the name is unknown; the message lists the valid names.
    """
    if name not in table:
        raise ValueError(f"Unknown {what} {name!r}: expected one of {sorted(table)}.")
    return table[name]
