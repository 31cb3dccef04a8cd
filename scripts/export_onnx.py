"""Export an autoencoder to ONNX, with a page that runs it in a browser.

Writes encoder.onnx (pixel_values (B, C, H, W) in [-1, 1] -> indices (B, h, w), int32) and decoder.onnx (indices ->
sample (B, C, H, W) in [-1, 1]) for batches of any size, compares them with the model on simulated frames, and adds the
page: index.html turns a dropped video or the camera into codes and back. Any server of static files will do.

smoke-vq export --model nano --output-dir web
smoke-vq export --model nano --output-dir web --ort package/dist   # also without a network
smoke-vq export --model nano --output-dir web --weights int8       # smaller files; codes differ a little
python -m http.server -d web
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from smoke_vq import PlumeSettings, simulate_plumes
from smoke_vq.assets import PAGE
from smoke_vq.layout import DECODER_ONNX, ENCODER_ONNX, PAGE_SETTINGS
from smoke_vq.model_config import AUTOENCODERS, check_model
from smoke_vq.onnx_export import WEIGHTS, check_onnx, check_weights, compare_onnx, export_onnx
from smoke_vq.preparation.folder import write_atomically
from smoke_vq.script import run

ORT_VERSION = "1.30.0"
ORT_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{ORT_VERSION}/dist/"
COMPARED = PlumeSettings(num_frames=96)  # the first 32 frames of a plume may be nearly black


def main() -> None:
    arguments = parse_arguments()
    check_onnx()
    check_model(arguments.model, AUTOENCODERS)
    from smoke_vq import SmokeImageProcessor
    from smoke_vq.models.auto import AutoAutoencoder
    from smoke_vq.tokens.colours import colours_of

    model = AutoAutoencoder.from_pretrained(arguments.model).float().eval()
    processor = SmokeImageProcessor.from_pretrained(arguments.model)
    (plume,) = simulate_plumes([0], COMPARED)
    files = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.suffix in (".html", ".js")}
    if arguments.ort:
        files |= {f"ort/{name}": (arguments.ort / name).read_bytes() for name in ORT_FILES}
    files[PAGE_SETTINGS] = json.dumps(
        {
            "name": Path(arguments.model).name,
            "sample_size": model.config.sample_size,
            "num_channels": model.config.in_channels,
            "num_codes": model.config.num_vq_embeddings,
            "runtime": "ort/" if arguments.ort else CDN,
            "colours": colours_of(model, processor).tolist(),
        }
    ).encode()
    with TemporaryDirectory() as folder:
        export_onnx(model, Path(folder), arguments.weights)
        agreement = compare_onnx(model, Path(folder), processor(plume.image).pixel_values, arguments.weights)
        files |= {name: Path(folder, name).read_bytes() for name in (ENCODER_ONNX, DECODER_ONNX)}
    for name, content in files.items():
        path = arguments.output_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    for name in (ENCODER_ONNX, DECODER_ONNX):
        print(f"{arguments.output_dir / name}: {len(files[name]) / 1e6:.2f} MB")
    print(
        f"Compared with the model on {len(plume.image)} simulated frames: {agreement.num_different} of "
        f"{agreement.num_codes} codes differ, samples by up to {agreement.sample_error:.1g}, and the mean "
        f"squared error of reconstructions by {agreement.error_rise:+.2%}."
    )
    print(f"Show the page with: python -m http.server -d {arguments.output_dir}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano", help="folder of a saved model, or Hub name (default: nano)")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument(
        "--weights",
        default="float",
        help=f"how weights are stored, {' or '.join(WEIGHTS)}: int8 for smaller files of convolutions, whose codes and "
        "samples differ a little from the model's (default: float, which is exact)",
    )
    parser.add_argument(
        "--ort",
        type=Path,
        help="folder dist of the npm package onnxruntime-web, whose files are copied; without it, the page loads "
        f"version {ORT_VERSION} from {CDN}",
    )
    arguments = parser.parse_args()
    check_weights(arguments.weights)
    if arguments.output_dir.exists() and not arguments.output_dir.is_dir():
        raise ValueError(f"The output '{arguments.output_dir}' is a file: expected a folder.")
    missing = [name for name in ORT_FILES if arguments.ort and not (arguments.ort / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{arguments.ort} does not hold {missing[0]}: --ort expects the folder dist of onnxruntime-web "
            f"{ORT_VERSION}."
        )
    return arguments


if __name__ == "__main__":
    run(main)
