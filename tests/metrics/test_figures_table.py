"""The table of figures, and the figures of all metrics."""

import pytest

from smoke_vq.metrics import METRICS, Figure, figure_of, make_metrics, markdown_table
from smoke_vq.metrics.smoke_statistics import STATISTICS


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_figures_are_rows_and_models_are_columns():
    model = {"masked_mse": 0.0123456, "psnr": 30.126, "num_codes_used": 900, "perplexity": 270.04, "num_tokens": 65536}
    table = markdown_table({"this model": model, "black": {"masked_mse": 0.5, "psnr": 12.0}})
    assert cells(table)[0] == ["metric", "this model", "black"]
    assert ["masked_mse", "0.01235", "0.50000"] in cells(table)
    assert ["psnr", "30.13", "12.00"] in cells(table)
    assert ["num_codes_used", "900", "-"] in cells(table)
    assert len({len(line) for line in table.splitlines()}) == 1, "columns are aligned"
    assert not any(row[0] == "fid" for row in cells(table)), "a figure that no column has is not shown"


def test_an_undefined_figure_is_a_dash():
    assert "| flicker | -     |" in markdown_table({"model": {"flicker": None}})


@pytest.mark.parametrize("figures", [None, STATISTICS])
def test_an_unknown_figure_is_shown(figures):
    table = cells(markdown_table({"a": {"beauty": 0.123456, "num_frames": 7}, "b": {"count": 12}}, figures))
    assert table[2:] == [["num_frames", "7", "-"], ["beauty", "0.1235", "-"], ["count", "-", "12"]]


def test_known_figures_come_in_the_order_of_the_table_of_metrics():
    names = [figure.name for metric in METRICS.values() for figure in metric.figures]
    assert len(set(names)) == len(names)
    table = cells(markdown_table({"model": dict.fromkeys(["unknown", *reversed(names)], 1)}))
    assert [row[0] for row in table[2:]] == [*names, "unknown"]


def test_a_figure_describes_itself():
    psnr = figure_of("psnr")
    assert (psnr.better, psnr.unit, psnr.text(31.2), psnr.phrase(31.2)) == ("higher", "dB", "31.20", "PSNR 31.20 dB")
    assert figure_of("masked_mse").phrase(0.0123) == "masked MSE 0.01230"
    assert figure_of("sharpness").better == 1 and figure_of("num_codes_used").better is None
    assert figure_of("unheard_of") == Figure("unheard_of", "unheard_of")
    assert all(figure.label and figure.meaning for metric in METRICS.values() for figure in metric.figures)


def test_metrics_are_made_by_name():
    assert [type(metric) for metric in make_metrics(["size", "image", "size"])] == [METRICS["size"], METRICS["image"]]
    with pytest.raises(ValueError, match="Unknown metric 'beauty': expected one of"):
        make_metrics(["image", "beauty"])
