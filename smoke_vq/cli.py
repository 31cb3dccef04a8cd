"""The command `smoke-vq`: all scripts under one name, from any folder."""

import importlib.util
import itertools
import sys

from .assets import SCRIPTS
from .registry import choose
from .script import run
from .version import __version__

# Commands by group: name, script, what it does.
COMMANDS = {
    "Look at a model": [
        ("reconstruct", "reconstruct", "a video, a photo or a folder to codes and back, as a film"),
        ("demo", "demo", "a page: a clip, its codes to change, image codecs beside them, a forecast"),
        ("predict", "predict", "how the plume in a clip moves on, as a film"),
        ("evaluate", "evaluate", "figures of models on a dataset, beside baselines and image codecs"),
        ("evaluate-forecast", "evaluate_forecast", "figures of forecasts, also those of other models"),
    ],
    "Make a dataset": [
        ("prepare", "prepare_rise", "cut smoke out of videos of a static camera"),
        ("simulate", "simulate_plumes", "simulate plumes, or a test set for forecasts"),
        ("compare-datasets", "compare_datasets", "statistics and frames of several datasets"),
        ("pack", "pack_dataset", "a dataset as one uint8 file per split"),
    ],
    "Train and publish": [
        ("train", None, "an autoencoder, a projection of its latents, or a forecaster"),
        ("push", "push_to_hub", "publish a model or a dataset with its card"),
        ("verify", "verify", "whether the files of a model, run or dataset are as they were saved"),
        ("export", "export_onnx", "an autoencoder to ONNX, with a page that runs it in a browser"),
    ],
    "Codes and latents": [
        ("encode", "encode_dataset", "a dataset or videos to codes and, by choice, latents"),
        ("decode", "decode_dataset", "codes to frames"),
        ("measure-latents", "measure_latents", "add mean and standard deviation of the latents to a model"),
    ],
    "Research": [
        ("compare-quantizers", "compare_quantizers", "train quantizers under one protocol"),
        ("speedrun", "speedrun", "seconds of training until a model is good enough"),
        ("benchmark", "benchmark", "speed of every part relative to its ideal"),
    ],
}
RECIPES = {
    "vqvae": "train_vqvae",
    "vqgan": "train_vqgan",
    "latent-projection": "train_latent_projection",
    "flow-matching": "train_flow_matching",
}
_SCRIPTS = {name: script for group in COMMANDS.values() for name, script, _ in group}


def main() -> None:
    """Run `smoke-vq COMMAND ...`."""
    run(_dispatch)


def _dispatch() -> None:
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(usage())
    elif words[0] == "--version":
        print(__version__)
    elif words[0] == "train":
        _train(words[1:])
    else:
        _run_script(choose(_SCRIPTS, words[0], "command"), words[0], words[1:])


def usage() -> str:
    lines = ["usage: smoke-vq COMMAND ...", "", "Smoke plumes to discrete codes and back."]
    for title, commands in COMMANDS.items():
        lines += ["", f"{title}:", *(f"  {name:<19} {text}" for name, _, text in commands)]
    return "\n".join([*lines, "", "smoke-vq COMMAND --help lists the flags of a command."])


def _train(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print("usage: smoke-vq train RECIPE [--config NAME_OR_FILE] ...\n")
        print(f"Recipes: {', '.join(RECIPES)}. smoke-vq train RECIPE --help lists the flags and configurations of one.")
        print("On several processes: accelerate launch -m smoke_vq train RECIPE ...")
        return
    recipe = words.pop(0) if not words[0].startswith("-") else _recipe_of(words)
    _run_script(choose(RECIPES, recipe, "recipe"), f"train {recipe}", words)


def _recipe_of(words: list[str]) -> str:
    """The recipe that the name of a configuration begins with, as in --config vqgan_tiny; otherwise vqvae."""
    name = dict(itertools.pairwise(words)).get("--config", "").replace("_", "-")
    return next((recipe for recipe in RECIPES if name.startswith(recipe)), "vqvae")


def _run_script(script: str, command: str, words: list[str]) -> None:
    """Run the `main` of a script, whose folder may hold modules of its own."""
    sys.argv = [f"smoke-vq {command}", *words]
    sys.path.insert(0, str(SCRIPTS))
    spec = importlib.util.spec_from_file_location(f"smoke_vq_{script}", SCRIPTS / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.main()
