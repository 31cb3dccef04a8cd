"""Texts of others in a card: they cannot become links, pictures, HTML, table cells or templates."""

import re
from typing import Any

_LONGEST = 4000  # characters, of a command for example


def as_code(value: Any) -> str:
    """A text for a Markdown code span, which it cannot end."""
    return _in_one_line(value).replace("`", "'").replace("|", "\\|")


def as_plain(value: Any) -> str:
    """A text between other words of a Markdown document."""
    return re.sub(r"([\[\]<`|\\])", r"\\\1", _in_one_line(value))


def _in_one_line(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
