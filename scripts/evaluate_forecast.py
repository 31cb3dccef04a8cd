"""Judge forecasts of smoke: by horizon, with intervals, beside limits and references that need no training.

Writes metrics.json, table.md and pictures, and prints a table. The test set is a folder of futures of simulated plumes
(smoke-vq simulate --futures), whose true distribution is known, or any dataset that says which frames follow
each other.

smoke-vq evaluate-forecast --dataset data/futures64 --output-dir evaluation
smoke-vq evaluate-forecast --dataset data/futures64 --model runs/forecast/best --num-inference-steps 1 4 10
smoke-vq evaluate-forecast --dataset data/futures64 --write-observed observed.npz
smoke-vq evaluate-forecast --dataset data/futures64 --predictions ours.npz
"""

import argparse
import json
from pathlib import Path

from smoke_vq.assets import NANO_MODEL
from smoke_vq.checks import usable_device
from smoke_vq.evaluation.forecasts.cases import ForecastCase
from smoke_vq.evaluation.forecasts.measure import measure
from smoke_vq.evaluation.forecasts.pictures import check_matplotlib, write_pictures
from smoke_vq.evaluation.forecasts.pipeline_forecasts import PipelineForecasts
from smoke_vq.evaluation.forecasts.predictions import load_predictions
from smoke_vq.evaluation.forecasts.references import FLOW, REPEAT, NearestNeighbours, reference_rows, through_codes
from smoke_vq.evaluation.forecasts.report import alarms, as_json, markdown, summary_table
from smoke_vq.evaluation.forecasts.results import Results
from smoke_vq.evaluation.forecasts.row import Row
from smoke_vq.evaluation.forecasts.scores import FORECAST_SCORES, make_scores
from smoke_vq.evaluation.forecasts.test_set import MIN_PAST, load_test_set, write_observed
from smoke_vq.layout import PIPELINE
from smoke_vq.model_config import check_model
from smoke_vq.preparation.folder import write_atomically
from smoke_vq.registry import choose
from smoke_vq.script import run


def main() -> None:
    arguments = parse_arguments()
    for name in [*arguments.models, *([arguments.regression] if arguments.regression else [])]:
        check_model(name, ["SmokeForecastPipeline"], PIPELINE)
    cases = load_test_set(
        arguments.dataset,
        arguments.split,
        arguments.size,
        arguments.num_frames,
        arguments.max_plumes,
        arguments.min_past,
    )
    if arguments.write_observed:
        write_observed(cases, arguments.write_observed)
        print(f"{arguments.write_observed}: observed frames of {len(cases)} forecasts of {cases[0].num_frames} frames.")
        return
    check_matplotlib()
    rows = make_rows(arguments, cases)
    results = evaluate(arguments, rows, cases)
    write_results(arguments, results, cases)
    print("\n\n".join([summary_table(results), *alarms(results)]))
    print(f"\nmetrics.json, table.md and pictures: {arguments.output_dir}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="folder of futures, or a dataset with sequences")
    data = parser.add_argument_group("a dataset with sequences")
    data.add_argument("--split", default="validation", help="default: validation")
    data.add_argument("--size", type=int, default=64, help="height and width of the frames (default: 64)")
    data.add_argument("--num-frames", type=int, default=16, help="frames to predict (default: 16)")
    data.add_argument("--min-past", type=int, default=MIN_PAST, help=f"first start in a clip (default: {MIN_PAST})")
    rows = parser.add_argument_group("forecasts")
    rows.add_argument("--models", "--model", nargs="+", default=[], help="forecasters: folders or Hub names")
    rows.add_argument("--num-inference-steps", type=int, nargs="+", default=[10], help="of the models (default: 10)")
    rows.add_argument("--num-samples", type=int, default=16, help="members of a forecast (default: 16)")
    rows.add_argument("--regression", help="a forecaster without samples, of the same size and training time")
    rows.add_argument("--predictions", type=Path, nargs="+", default=[], help="npz files or dataset folders")
    rows.add_argument("--train-dataset", help="adds a row of nearest neighbours in this dataset's split 'train'")
    rows.add_argument("--autoencoder", help="of the rows through codes, or 'none' (default: the model's, or else nano)")
    rows.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    scores = parser.add_argument_group("scores")
    scores.add_argument("--scores", nargs="+", default=[*FORECAST_SCORES], help=f"some of {', '.join(FORECAST_SCORES)}")
    scores.add_argument("--alexnet-weights", help="safetensors file for LPIPS (or SMOKE_VQ_ALEXNET, or torchvision's)")
    scores.add_argument("--slow-members", type=int, default=4, help="members for LPIPS and SSIM (default: 4)")
    scores.add_argument("--num-draws", type=int, default=1000, help="samples of the bootstrap (default: 1000)")
    parser.add_argument("--max-plumes", type=int, help="use the first plumes or clips only")
    parser.add_argument("--device", help="such as cuda or cpu (default: cuda if there is one)")
    parser.add_argument("--output-dir", type=Path, default=Path("evaluation"))
    parser.add_argument("--write-observed", metavar="FILE", type=Path, help="write the observed frames as npz and stop")
    arguments = parser.parse_args()
    counts = ("size", "num_frames", "num_samples", "slow_members", "num_draws", "max_plumes")
    for name, value in [(name, getattr(arguments, name)) for name in counts] + [
        ("num_inference_steps", steps) for steps in arguments.num_inference_steps
    ]:
        if value is not None and value < 1:
            raise ValueError(f"{name} expects 1 or more, found {value}.")
    for name in arguments.scores:
        choose(FORECAST_SCORES, name, "score")
    arguments.device = usable_device(arguments.device)
    return arguments


def make_rows(arguments: argparse.Namespace, cases: list[ForecastCase]) -> list[Row]:
    """The rows of the table, in its order."""
    pipelines = {name: load_pipeline(name, arguments.device) for name in dict.fromkeys(arguments.models)}
    regression = load_pipeline(arguments.regression, arguments.device) if arguments.regression else None
    if regression is not None and regression.transformer.coupling.is_random:
        raise ValueError(f"{arguments.regression} is not a regression: pass it with --model.")
    if arguments.autoencoder is None and pipelines:
        autoencoder = next(iter(pipelines.values())).autoencoder
    else:
        autoencoder = None if arguments.autoencoder == "none" else load_autoencoder(arguments)
    if autoencoder is not None:
        check_size(arguments, autoencoder, cases)
    rows = reference_rows(cases, None if autoencoder is None else through_codes(autoencoder))
    if arguments.train_dataset:
        rows.append(neighbours_row(arguments, cases, autoencoder))
    if regression is not None:
        rows.append(Row("regression", PipelineForecasts(regression, 1, 1, arguments.seed), "regression"))
    for name, pipeline in pipelines.items():
        rows += forecaster_rows(arguments, "forecaster" if len(pipelines) == 1 else name, pipeline)
    rows += [Row(str(path), load_predictions(path, cases)) for path in arguments.predictions]
    names = [row.name for row in rows]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"Two rows have the name {repeated.pop()!r}: expected each forecast once.")
    return rows


def forecaster_rows(arguments: argparse.Namespace, label: str, pipeline) -> list[Row]:
    """One row for each number of evaluations, or a single one of a forecaster without samples."""
    if not pipeline.transformer.coupling.is_random:
        return [Row(label, PipelineForecasts(pipeline, 1, 1, arguments.seed))]
    return [
        Row(
            f"{label}, {steps} evaluation{'s' * (steps > 1)}",
            PipelineForecasts(pipeline, steps, arguments.num_samples, arguments.seed),
        )
        for steps in dict.fromkeys(arguments.num_inference_steps)
    ]


def load_autoencoder(arguments: argparse.Namespace):
    from smoke_vq.models.auto import AutoAutoencoder

    name = NANO_MODEL if arguments.autoencoder is None else arguments.autoencoder
    return AutoAutoencoder.from_pretrained(name).to(arguments.device).eval()


def check_size(arguments: argparse.Namespace, autoencoder, cases: list[ForecastCase]) -> None:
    (height, width), size = cases[0].past.shape[1:3], autoencoder.config.sample_size
    if (height, width) != (size, size):
        raise ValueError(
            f"The frames of {arguments.dataset} are {width}x{height}, those of the autoencoder {size}x{size}: choose "
            f"another one with --autoencoder, or 'none'."
        )


def neighbours_row(arguments: argparse.Namespace, cases: list[ForecastCase], autoencoder) -> Row:
    from smoke_vq.data.sources import load_frames

    if autoencoder is None:
        raise ValueError("Nearest neighbours are found in latents: expected an --autoencoder other than 'none'.")
    frames = load_frames(arguments.train_dataset, "train", cases[0].past.shape[1])
    neighbours = NearestNeighbours(
        frames,
        lambda batch: autoencoder.encode(batch.to(autoencoder.device)).latents,
        cases[0].num_frames,
        arguments.num_samples,
    )
    return Row("nearest neighbours", neighbours, "reference")


def load_pipeline(name: str, device: str):
    from smoke_vq.pipelines.forecast import SmokeForecastPipeline

    pipeline = SmokeForecastPipeline.from_pretrained(name).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def evaluate(arguments: argparse.Namespace, rows: list[Row], cases: list[ForecastCase]) -> Results:
    options = {"ssim": {"max_members": arguments.slow_members}}
    if "lpips" in arguments.scores:
        from smoke_vq.losses import LPIPS

        options["lpips"] = {"network": LPIPS("alex", arguments.alexnet_weights), "max_members": arguments.slow_members}
    scores = make_scores(arguments.scores, **options)
    groups = [case.group for case in cases]
    return Results(measure(rows, cases, scores), scores, groups, REPEAT, arguments.num_draws)


def write_results(arguments: argparse.Namespace, results: Results, cases: list[ForecastCase]) -> None:
    folder = arguments.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    others = [FLOW, *(name for name, one in results.rows.items() if one.row.kind == "regression")]
    facts = {
        "name": Path(arguments.dataset).name,
        "num_frames": cases[0].num_frames,
        "num_futures": len(cases[0].futures),
        "slow_members": arguments.slow_members,
    }
    content = json.dumps(as_json(results, facts, others), indent=1)
    write_atomically(folder / "metrics.json", (content + "\n").encode())
    write_atomically(folder / "table.md", markdown(results, f"Forecasts of {facts['name']}", others).encode())
    write_pictures(folder, results, cases)


if __name__ == "__main__":
    run(main)
