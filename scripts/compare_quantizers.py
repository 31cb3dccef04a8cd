"""Train quantizers under one protocol, and compare them with each other and with image codecs.

Every variant of configs/quantizers/ is trained with each seed: same data, encoder, decoder and number of steps. Writes
table.md, results.json and rate_distortion.png. The same command continues an interrupted comparison, and adds variants
and seeds to a finished one. Flags that are not listed here are passed on to scripts/train_vqvae.py.

smoke-vq compare-quantizers --dataset data/rise64 --output-dir comparison --num-threads 1
"""

import argparse
import json
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from comparisons import peers
from comparisons.measuring import Measurements
from comparisons.plot import draw_rate_distortion
from comparisons.report import summary, tables
from comparisons.runs import SERVER, RunFailed, train
from comparisons.steps import step_seconds
from comparisons.variants import read_variants, write_configurations

from smoke_vq.checks import check_count
from smoke_vq.evaluation.forecasts.pictures import check_matplotlib
from smoke_vq.preparation.folder import write_atomically
from smoke_vq.script import run
from smoke_vq.training import VQVAEArguments
from smoke_vq.training import parse_arguments as parse_training_arguments

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def main() -> None:
    arguments, flags = parse_arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if arguments.peers:
        peers.register()
    training = parse_training_arguments(VQVAEArguments, ["--config", str(arguments.config), *flags])
    folders = [arguments.variants_dir, *([arguments.variants_dir / "peers"] if arguments.peers else [])]
    variants = read_variants(folders, arguments.variants, arguments.config)
    check_matplotlib()
    first = next(iter(variants))
    measurements = Measurements(training, arguments.max_frames, arguments.alexnet_weights)
    folder, configurations = arguments.output_dir, arguments.output_dir / "configurations"
    protocol = {"flags": flags, "frames": measurements.frames.fingerprint()}
    write_configurations(configurations, variants, protocol)
    measurements.frames.save(folder / "validation.safetensors")  # for the trainings too, which would take all frames
    flags = [*flags, "--validation-dataset", str(folder / "validation.safetensors")]

    files = [configurations / f"{name}.yaml" for name in variants]
    with ProcessPoolExecutor(1, SERVER) as pool:
        seconds = pool.submit(step_seconds, files, flags, arguments.peers).result()
    times = dict(zip(variants, seconds, strict=True))
    codecs = remembered(folder / "codecs.json", measurements.codecs)
    runs, failed = {name: {} for name in variants}, {}
    for seed in arguments.seeds:
        for name in variants:
            try:
                best = train(
                    folder / "runs" / f"{name}_{seed}", configurations / f"{name}.yaml", seed, flags, arguments.peers
                )
            except RunFailed as error:
                failed[f"{name}_{seed}"] = str(error)
                print(f"{name}, seed {seed} failed: {error}", flush=True)
                continue
            figures = remembered(best.parent / "figures.json", lambda best=best: measurements.model(best))
            runs[name][seed] = figures | {"step_seconds": times[name], "step_ratio": times[name] / times[first]}
            print(f"{name}, seed {seed}: masked MSE {figures['masked_mse']:.5f}", flush=True)
    if not any(runs.values()):
        raise ValueError(f"All runs failed: {failed}.")
    compared = summary({name: own for name, own in runs.items() if own})
    results = {"variants": compared, "codecs": codecs, "failed": failed, "protocol": protocol}
    write_atomically(folder / "results.json", (json.dumps(results, indent=2) + "\n").encode())
    write_atomically(folder / "table.md", tables(compared).encode())
    draw_rate_distortion(compared, codecs, folder / "rate_distortion.png")
    print(f"\n{tables(compared)}\ntable.md, results.json, rate_distortion.png: {folder}")
    if failed:
        raise ValueError(f"{len(failed)} run(s) failed and are missing: {', '.join(failed)}.")


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", type=Path, default=CONFIGS / "config_vqvae_compare.yaml", help="the base")
    parser.add_argument("--variants-dir", type=Path, default=CONFIGS / "quantizers")
    parser.add_argument(
        "--variants", nargs="+", help="files of it; differences are from the first (default: all, from vq)"
    )
    parser.add_argument("--peers", action="store_true", help="add the quantizers of other libraries")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--max-frames", type=int, default=1000, help="validation frames, evenly spaced (default: 1000)")
    parser.add_argument("--alexnet-weights", help="safetensors file for LPIPS (or SMOKE_VQ_ALEXNET, or torchvision's)")
    parser.add_argument("--output-dir", type=Path, default=Path("comparison"))
    arguments, flags = parser.parse_known_args()
    check_count("max_frames", arguments.max_frames)
    return arguments, flags


def remembered(path: Path, measure) -> dict:
    """What `measure` returned the first time."""
    if not path.is_file():
        write_atomically(path, (json.dumps(measure(), indent=2) + "\n").encode())
    return json.loads(path.read_text())


if __name__ == "__main__":
    run(main)
