"""Files that are installed with the code: scripts, configurations, cards, a page for browsers, small trained models."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _home(name: str) -> Path:
    """The folder `name` as installed, or in a checkout."""
    return next((home for home in (_PACKAGE / name, _PACKAGE.parent / name) if home.is_dir()), _PACKAGE / name)


SCRIPTS, CONFIGS, MODEL_CARDS, PAGE = map(_home, ("scripts", "configs", "model_cards", "web"))

CARD_TEMPLATE = MODEL_CARDS / "template.md"
AUTOENCODER_CARD = MODEL_CARDS / "autoencoder.md"
FORECAST_CARD = MODEL_CARDS / "forecast.md"
LATENT_PROJECTION_CARD = MODEL_CARDS / "latent_projection.md"
NANO_MODEL = MODEL_CARDS / "smoke_vqvae_nano"
NANO_VQGAN = MODEL_CARDS / "smoke_vqgan_nano"
NANO_SHARP = MODEL_CARDS / "smoke_vqgan_nano_sharp"
NANO_FORECASTER = MODEL_CARDS / "smoke_forecaster_nano"

# Names that stand for a trained model wherever a folder or a Hub repository is expected.
TRAINED = {
    "nano": NANO_MODEL,
    "nano_vqgan": NANO_VQGAN,
    "nano_sharp": NANO_SHARP,
    "nano_forecaster": NANO_FORECASTER,
}


def configurations(recipe: str) -> dict[str, Path]:
    """The installed configurations of a recipe by name: config_vqvae_tiny.yaml is "tiny" of the recipe "vqvae"."""
    files = {path.stem.removeprefix("config_"): path for path in sorted(CONFIGS.glob(f"config_{recipe}*.yaml"))}
    return {name.removeprefix(f"{recipe}_"): path for name, path in files.items()}
