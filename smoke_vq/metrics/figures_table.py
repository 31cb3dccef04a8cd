"""Figures of several models or datasets as a Markdown table."""

from collections.abc import Iterable

from .figure import Figure


def table_of(columns: dict[str, dict[str, float | None]], known: Iterable[Figure]) -> str:
    """Figures down, columns across, as a Markdown table whose cells are aligned for a terminal.

    Every figure that any column has gets a row: first the `known` ones in their order, then all others, in a general
    format. A figure that a column does not have, or has as None, is shown as "-".
    """
    names = dict.fromkeys(name for column in columns.values() for name in column)
    figures = {figure.name: figure for figure in known if figure.name in names}
    figures |= {name: Figure(name, name) for name in names if name not in figures}
    rows = [["metric", *columns]]
    for name, figure in figures.items():
        rows.append([name, *(figure.text(column.get(name)) for column in columns.values())])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)
