"""Files that are installed with the code: the templates of model cards, a small trained model, and its forecaster."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_HOMES = (_PACKAGE / "model_cards", _PACKAGE.parent / "model_cards")  # as installed, and in a checkout
MODEL_CARDS = next((home for home in _HOMES if home.is_dir()), _HOMES[0])

CARD_TEMPLATE = MODEL_CARDS / "template.md"
AUTOENCODER_CARD = MODEL_CARDS / "autoencoder.md"
FORECAST_CARD = MODEL_CARDS / "forecast.md"
LATENT_PROJECTION_CARD = MODEL_CARDS / "latent_projection.md"
NANO_MODEL = MODEL_CARDS / "smoke_vqvae_nano"
NANO_FORECASTER = MODEL_CARDS / "smoke_forecaster_nano"
