"""The table of figures."""

from smoke_vq.metrics import markdown_table


def test_metrics_down_and_models_across():
    model = {"masked_mse": 0.0123456, "psnr": 30.126, "num_codes_used": 900, "perplexity": 270.04, "num_tokens": 65536}
    lines = markdown_table({"this model": model, "black": {"masked_mse": 0.5, "psnr": 12.0}}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["metric", "this model", "black"]
    assert ["masked_mse", "0.01235", "0.50000"] in cells
    assert ["psnr", "30.13", "12.00"] in cells
    assert ["num_codes_used", "900", "-"] in cells
    assert len({len(line) for line in lines}) == 1, "columns are aligned"
    assert not any(line[0] == "fid" for line in cells), "what nobody measured has no row"


def test_what_could_not_be_measured_is_a_dash():
    assert "| flicker | -     |" in markdown_table({"model": {"flicker": None}})
