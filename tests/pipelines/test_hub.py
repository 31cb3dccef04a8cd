"""A pipeline on the Hub: published in one commit with a card, downloaded with all checks."""

import json

import pytest
import torch
import yaml
from forecasters import forecast
from training_runs import run

from smoke_vq import SmokeForecastPipeline, SmokeVQVAE
from smoke_vq.hub.card import write_card
from smoke_vq.layout import CHECKSUMS, CONFIG, MODEL_CODE, PROCESSOR, PROCESSOR_CODE, WEIGHTS

NAME = "user/forecaster"
FILES = {
    *(
        "model_index.json",
        "README.md",
        ".gitattributes",
        CHECKSUMS,
        *(f"processor/{name}" for name in (PROCESSOR, PROCESSOR_CODE, CHECKSUMS)),
    ),
    *(
        f"{part}/{name}"
        for part in ("autoencoder", "transformer", "projection")
        for name in (CONFIG, WEIGHTS, MODEL_CODE, CHECKSUMS)
    ),
}


def estimate(mean: float) -> dict:
    return {"by_frame": [mean], "interval_by_frame": [[mean, mean]], "mean": mean, "interval": [mean, mean]}


def metrics() -> dict:
    """As scripts/evaluate_forecast.py writes it."""
    rows = {
        "perfect ensemble": ("limit", {"psnr_mean": 38.0, "crps": 0.004}),
        "repeat the last frame": ("reference", {"psnr_mean": 18.1, "crps": 0.1}),
        "optical flow": ("reference", {"psnr_mean": 22.6, "crps": 0.07}),
        "forecaster, 10 evaluations": ("forecaster", {"psnr_mean": 25.25, "crps": 0.04, "spread_skill": 0.9}),
    }
    described = {"label": "x", "unit": "", "better": "lower", "meaning": "means x"}
    return {
        "test_set": {"name": "futures64", "num_frames": 16, "num_futures": 16, "num_forecasts": 64, "num_groups": 32},
        "alarms": [],
        "figures": {
            "crps": described | {"label": "CRPS"},
            "psnr_mean": described | {"label": "PSNR of the mean", "unit": "dB", "better": "higher"},
            "spread_skill": described | {"label": "spread/skill", "better": 1.0},
            "mass_error_mean": described,
        },
        "rows": {
            name: {"kind": kind, "num_members": 16, "figures": {key: estimate(value) for key, value in figures.items()}}
            for name, (kind, figures) in rows.items()
        },
    }


def test_published_in_one_commit_and_loaded_again(pipeline, clip, hub):
    address = pipeline.push_to_hub(NAME)
    assert address == f"{hub.endpoint}/{NAME}/commit/{hub.commits(NAME)[0].sha}"
    assert set(hub.files(NAME)) == FILES and len(hub.commits(NAME)) == 2
    loaded = SmokeForecastPipeline.from_pretrained(NAME)
    assert torch.equal(forecast(loaded, clip, output_type="pt"), forecast(pipeline, clip, output_type="pt"))
    card = hub.files(NAME)["README.md"].decode()
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["model_name"] == "SmokeForecastPipeline" and "flow-matching" in metadata["tags"]
    for words in (
        "SmokeForecastPipeline: the next frames of a smoke plume",
        "Predicts 16x16 RGB frames",
        "from 4 or more observed ones",
        f'SmokeForecastPipeline.from_pretrained("{NAME}")',
        "The quality of this model is unknown",
        "| `num_previous` | `4` |",
        f"`transformer/{WEIGHTS}`",
    ):
        assert words in card, words
    assert "{{" not in card and "{%" not in card and "\n\n\n" not in card


def test_a_pipeline_without_a_projection_replaces_one_with_it(pipeline, make_pipeline, hub):
    pipeline.push_to_hub(NAME)
    make_pipeline(with_projection=False, coupling="regression").push_to_hub(NAME)
    assert set(hub.files(NAME)) == {name for name in FILES if not name.startswith("projection")}
    assert SmokeForecastPipeline.from_pretrained(NAME).projection is None
    card = hub.files(NAME)["README.md"].decode()
    assert "by regression" in card and "num_samples=6" not in card


def test_a_model_replaces_a_pipeline(pipeline, tiny_model, hub):
    pipeline.push_to_hub(NAME)
    tiny_model.push_to_hub(NAME)
    assert "model_index.json" not in hub.files(NAME) and f"transformer/{WEIGHTS}" not in hub.files(NAME)
    with pytest.raises(OSError, match=r"'user/forecaster' on the Hub does not hold model_index.json: found"):
        SmokeForecastPipeline.from_pretrained(NAME)
    assert isinstance(SmokeVQVAE.from_pretrained(NAME), SmokeVQVAE)


def test_a_damaged_download_is_refused(pipeline, hub):
    """The size is right, so that only the checksum shows it."""
    pipeline.push_to_hub(NAME)
    hub.fault("GET /lfs/", flip=-1, times=1)
    with pytest.raises(ValueError, match=r"diffusion_pytorch_model.safetensors of .* is damaged: its sha256 is"):
        SmokeForecastPipeline.from_pretrained(NAME)


def test_an_incomplete_repository_is_refused(pipeline, hub):
    pipeline.push_to_hub(NAME)
    files = hub.files(NAME)
    hub.put("user/incomplete", {name: files[name] for name in files if not name.startswith("projection")})
    with pytest.raises(OSError, match="user/incomplete is incomplete: it does not hold the folder projection"):
        SmokeForecastPipeline.from_pretrained("user/incomplete")


def test_the_card_shows_the_figures_of_the_evaluation(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps(metrics()))
    (tmp_path / "by_horizon.png").write_bytes(b"")
    write_card(tmp_path, pipeline.card_text, NAME)
    card = (tmp_path / "README.md").read_text()
    for words in (
        "over 16 predicted frames, the PSNR of the mean of the samples is 25.2 dB; the best reference without training "
        "(optical flow) has 22.6 dB.",
        "64 forecasts of 32 plumes or clips in `futures64`",
        "|  | PSNR of the mean, dB | CRPS | spread/skill |",
        "| forecaster, 10 evaluations | 25.25 | 0.04 | 0.9 |",
        "| perfect ensemble | 38 | 0.004 | - |",
        "![Figures by predicted frame](by_horizon.png)",
        "- `crps`: means x (lower is better)",
    ):
        assert words in card, words
    assert "unknown:" not in card and "\n\n\n" not in card


def test_the_script_publishes_the_folder_of_a_forecaster(pipeline, clip, hub, tmp_path):
    folder = tmp_path / "forecaster"
    pipeline.save_pretrained(folder)
    (folder / "metrics.json").write_text(json.dumps(metrics()))
    (folder / "notes.txt").write_text("not published")
    ended = run("push_to_hub.py", f"--folder {folder} --repo-id {NAME}")
    assert ended.code == 0 and "Pushed: " in ended.out, ended.err
    assert set(hub.files(NAME)) == FILES | {"metrics.json"}
    assert "25.25" in hub.files(NAME)["README.md"].decode()
    assert forecast(SmokeForecastPipeline.from_pretrained(NAME), clip).shape == (1, 3, 16, 16, 3)
    (folder / "transformer" / WEIGHTS).write_bytes(b"damaged")
    ended = run("push_to_hub.py", f"--folder {folder} --repo-id {NAME}")
    assert ended.code == 2 and "damaged" in ended.err and len(hub.commits(NAME)) == 2
