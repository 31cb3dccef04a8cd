"""The pages of metrics and of trained models say what the code and the cards say."""

import json
import math
import re
from pathlib import Path

import torch

from smoke_vq import SmokeFlowTransformer, SmokeVQGAN, SmokeVQVAE
from smoke_vq.assets import MODEL_CARDS
from smoke_vq.evaluation.forecasts.scores import FORECAST_SCORES
from smoke_vq.evaluation.forecasts.scores.crps import CRPS_SKILL
from smoke_vq.metrics import METRICS
from smoke_vq.metrics.smoke_statistics import STATISTICS

DOCS = Path(__file__).resolve().parent.parent / "docs"
CLASSES = {"SmokeVQVAE": SmokeVQVAE, "SmokeVQGAN": SmokeVQGAN, "SmokeFlowTransformer": SmokeFlowTransformer}


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without their heads."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    rules = {i for i, cells in enumerate(lines) if set("".join(cells)) == {"-"}}
    return [cells for i, cells in enumerate(lines) if not {i, i + 1} & rules]


def described(figures) -> list[list[str]]:
    best = {None: "", 1.0: "1"}
    return [[f"`{figure.name}`", figure.unit, best.get(figure.better, figure.better)] for figure in figures]


def test_every_metric_has_one_sentence():
    _, of_models, of_forecasts, of_datasets = re.split(r"^## ", (DOCS / "metrics.md").read_text(), flags=re.M)
    sections = re.split(r"^### ", of_models, flags=re.M)[1:]
    assert [section.split("\n")[0] for section in sections] == [f"`{name}`" for name in METRICS]
    expected = [(section, metric.figures) for section, metric in zip(sections, METRICS.values(), strict=True)]
    scores = [figure for score in FORECAST_SCORES.values() for figure in score.figures]
    for section, figures in [*expected, (of_forecasts, [*scores, CRPS_SKILL]), (of_datasets, STATISTICS)]:
        found = rows(section)
        assert sorted(cells[:3] for cells in found) == sorted(described(figures))
        assert all(re.fullmatch(r"[A-Z].*\.", cells[3]) for cells in found)


def size(folder: Path) -> str:
    """The weights in MB, as the page has them."""
    total = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return f"{total / 1e6:.2f}" if total else ""


def num_parameters(config: Path) -> str:
    config = json.loads(config.read_text())
    with torch.device("meta"):
        model = CLASSES[config["_class_name"]].from_config(config)
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} M"


def test_the_table_of_models_is_that_of_the_cards():
    page = rows((DOCS / "models.md").read_text())
    found = {re.search(r"model_cards/(\w+)/README.md", cells[0])[1]: cells for cells in page}
    folders = {path.parent.name: path.parent for path in MODEL_CARDS.glob("smoke_*/README.md")}
    assert set(found) == set(folders)
    for name, folder in folders.items():
        cells, figures = found[name], json.loads((folder / "metrics.json").read_text())
        if not (folder / "config.json").is_file():
            best = [row["figures"] for row_name, row in figures["rows"].items() if row_name.startswith("forecaster")][
                -1
            ]
            expected = [
                f"{best['psnr_mean']['mean']:.1f}",
                f"{best['lpips']['mean']:.3f}",
                f"{best['crps']['mean']:.4f}",
            ]
            parameters = f"{num_parameters(folder / 'transformer/config.json')} and nano"
            assert [cells[1], cells[2], *cells[5:]] == [parameters, size(folder), *expected]
            continue
        config, own = json.loads((folder / "config.json").read_text()), figures["this model"]
        grid = config["sample_size"] // 2 ** (len(config["encoder_block_out_channels"]) - 1)
        bits = f"{grid**2 * math.log2(config['num_vq_embeddings']):.0f}"
        assert cells[1:4] == [num_parameters(folder / "config.json"), size(folder), bits]
        assert cells[6:8] == [f"{own['masked_mse']:.4f}", f"{own['psnr']:.1f}"]
        assert cells[9] == f"{own['num_codes_used']:,}"
        if "lpips_alex" in own:
            assert cells[8] == f"{own['lpips_alex']:.3f}"
        assert f"model_cards/{name}/reconstructions.png" in (DOCS / "models.md").read_text()
