"""Figures of several models as one table, for terminals and cards."""

METRIC_TABLE = {
    "masked_mse": "{:.5f}",
    "background_mse": "{:.6f}",
    "mse": "{:.5f}",
    "psnr": "{:.2f}",
    "ssim": "{:.4f}",
    "num_codes_used": "{:d}",
    "perplexity": "{:.1f}",
    "num_tokens": "{:d}",
}


def markdown_table(columns: dict[str, dict[str, float]]) -> str:
    """Metrics down, models across, as a Markdown table that also reads well in a terminal."""
    rows = [["metric", *columns]]
    for name, form in METRIC_TABLE.items():
        rows.append([name, *(form.format(column[name]) if name in column else "" for column in columns.values())])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)
