"""Figures of several models as one table, for terminals and cards."""

METRIC_TABLE = {
    "masked_mse": "{:.5f}",
    "background_mse": "{:.6f}",
    "mse": "{:.5f}",
    "psnr": "{:.2f}",
    "ssim": "{:.4f}",
    "perceptual": "{:.4f}",
    "lpips_alex": "{:.4f}",
    "lpips_vgg": "{:.4f}",
    "fid": "{:.2f}",
    "kid": "{:.5f}",
    "num_images": "{:d}",
    "mass_error": "{:.4f}",
    "mask_iou": "{:.4f}",
    "spectrum_low": "{:.3f}",
    "spectrum_middle": "{:.3f}",
    "spectrum_high": "{:.3f}",
    "sharpness": "{:.3f}",
    "flicker": "{:.3f}",
    "num_codes_used": "{:d}",
    "perplexity": "{:.1f}",
    "num_tokens": "{:d}",
    "bytes_per_frame": "{:.1f}",
    "payload_bytes_per_frame": "{:.1f}",
}


def markdown_table(columns: dict[str, dict[str, float | None]], formats: dict[str, str] = METRIC_TABLE) -> str:
    """Metrics down, models across, as a Markdown table that also reads well in a terminal; "-" where there is none.

    Metrics that none of the columns has have no row.
    """
    rows = [["metric", *columns]]
    for name, form in formats.items():
        values = [column.get(name) for column in columns.values()]
        if any(name in column for column in columns.values()):
            rows.append([name, *("-" if value is None else form.format(value) for value in values)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)
