"""Mistakes in the arguments of a training that are known before diffusers is imported, which takes seconds."""

from ...model_config import AUTOENCODERS, check_model, model_parameters
from ...model_values import check_autoencoder, check_image_channels, check_same, downsampling_factor
from ..arguments import TrainingArguments
from ..parsing import check_arguments
from .arguments import AutoencoderArguments


def check_autoencoder_training(class_name: str, arguments: TrainingArguments[AutoencoderArguments]) -> None:
    """Refuse a model and data that do not fit each other, without building the model or reading frames.

    Args:
        class_name: of the model that is trained.

    Raises:
        OSError, ValueError: say what was found and what was expected.
    """
    recipe, data = arguments.recipe, arguments.data
    arguments.tracking.check_tracker()
    check_arguments(class_name, recipe.model, "model")
    config = model_parameters(class_name) | recipe.model
    if recipe.init_from is not None:
        trained = check_model(recipe.init_from, AUTOENCODERS)
        if trained is None:  # on the Hub
            arguments.check_data()
            return
        check_same(recipe.init_from, trained, recipe.model, "model")
        config |= trained
    check_autoencoder(config)
    check_image_channels(config)
    from ...data.loader import check_fills_a_batch  # imports torch
    from ...quantizers import make_quantizer
    from ...quantizers.checks import check_enough_latents, check_loss_names

    kwargs = config["quantizer_kwargs"]
    quantizer = make_quantizer(config["quantizer_type"], config["num_vq_embeddings"], config["latent_channels"], kwargs)
    check_loss_names(quantizer, recipe.quantizer_loss_weights)
    arguments.check_data(config["sample_size"])
    num_frames = arguments.count_frames()
    if num_frames is None:
        return
    check_fills_a_batch(" and ".join(data.sources), num_frames, data.batch_size)
    if recipe.init_from is None and recipe.codebook_init_vectors > 0:
        check_enough_latents(quantizer, num_frames * (config["sample_size"] // downsampling_factor(config)) ** 2)
