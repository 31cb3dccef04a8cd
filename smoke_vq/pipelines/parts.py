"""The parts of a pipeline for forecasts: their classes, and whether they were trained with each other."""

from ..data.processor import SmokeImageProcessor
from ..layout import AUTOENCODER, PROJECTION, TRANSFORMER
from ..layout import PROCESSOR_FOLDER as PROCESSOR
from ..models.auto import AUTOENCODERS
from ..models.flow_transformer import SmokeFlowTransformer
from ..models.latent_projection import LatentProjection
from ..models.pretrained import PretrainedModel
from ..tokens import latents_digest, makes_latents, model_digest, statistics_digest

PARTS = {
    AUTOENCODER: AUTOENCODERS,
    TRANSFORMER: {"SmokeFlowTransformer": SmokeFlowTransformer},
    PROCESSOR: {"SmokeImageProcessor": SmokeImageProcessor},
    PROJECTION: {"LatentProjection": LatentProjection},
}


def check_parts(
    autoencoder: PretrainedModel,
    transformer: SmokeFlowTransformer,
    processor: SmokeImageProcessor,
    projection: LatentProjection | None = None,
) -> None:
    """Refuse parts that were not trained with each other.

    Raises:
        ValueError: a part of another class; a transformer or projection that belongs to other weights, or that does
            not name the weights that it belongs to; without a projection, an autoencoder that normalizes its latents
            by other numbers than in training, or by none; another frame size.
    """
    given = {AUTOENCODER: autoencoder, TRANSFORMER: transformer, PROCESSOR: processor}
    for name, part in {**given, **({} if projection is None else {PROJECTION: projection})}.items():
        if not isinstance(part, tuple(PARTS[name].values())):
            raise ValueError(f"{name} expects one of {sorted(PARTS[name])}, found a {type(part).__name__}.")
    if projection is not None:
        projection.check_autoencoder(autoencoder)
    elif autoencoder.config.latents_mean is None:
        raise ValueError(
            "Without a projection, latents are normalized by latents_mean and latents_std, which the autoencoder's "
            "config.json does not have: smoke-vq measure-latents adds them."
        )
    sha256 = _trained_with(transformer, AUTOENCODER)
    if not makes_latents(autoencoder, sha256):
        raise _other_weights(AUTOENCODER, sha256, latents_digest(autoencoder))
    if projection is not None:
        sha256 = _trained_with(transformer, PROJECTION)
        if sha256 != model_digest(projection):
            raise _other_weights(PROJECTION, sha256, model_digest(projection))
    elif transformer.config.projection_sha256 is not None:
        raise ValueError("The transformer was trained with a projection of the latents: found none.")
    elif transformer.config.statistics_sha256 not in (None, statistics_digest(autoencoder)):
        raise ValueError(
            "The transformer was trained with other latents_mean, latents_std or scaling_factor than those in the "
            "autoencoder's config.json: expected the autoencoder as it was then, or train the transformer again."
        )
    size = transformer.config.sample_size * autoencoder.downsampling_factor
    if processor.height != size:
        raise ValueError(f"The transformer predicts frames of {size}x{size}: the processor has {processor.height}.")


def _trained_with(transformer: SmokeFlowTransformer, name: str) -> str:
    """The digest of the part that the transformer was trained with."""
    sha256 = transformer.config[f"{name}_sha256"]
    if sha256 is None:
        raise ValueError(f"The transformer's config.json does not name its {name}: {name}_sha256 is null.")
    return sha256


def _other_weights(name: str, expected: str, found: str) -> ValueError:
    weights = "encoder and codebook" if name == AUTOENCODER else "weights"
    return ValueError(
        f"The transformer was trained with another {name}: expected {weights} with SHA-256 {expected[:12]}..., found "
        f"{found[:12]}...."
    )
