"""Checks of the values in a model's configuration, which need neither diffusers nor the class of the model."""

import math
from collections.abc import Mapping
from typing import Any

from .checks import check_count, check_positive
from .registry import choose


def check_autoencoder(config: Mapping[str, Any]) -> None:
    """Check all arguments of a SmokeVQVAE or SmokeVQGAN but those of its quantizer, which checks them itself.

    Raises:
        ValueError: says which value does not fit, and what was expected.
    """
    sizes = ("sample_size", "in_channels", "out_channels", "latent_channels", "layers_per_block", "num_vq_embeddings")
    for name in sizes:
        check_count(name, config[name])
    if not isinstance(config["mid_block_attention"], bool):
        raise ValueError(f"mid_block_attention expects true or false, found {config['mid_block_attention']!r}.")
    encoder, decoder = config["encoder_block_out_channels"], config["decoder_block_out_channels"]
    for name, channels in (("encoder", encoder), ("decoder", decoder)):
        fits = isinstance(channels, (list, tuple)) and all(type(c) is int and c >= 4 for c in channels)
        if not fits or not channels or any(c % 4 for c in channels):
            raise ValueError(
                f"{name}_block_out_channels expects multiples of 4 (GroupNorm), found "
                f"{list(channels) if isinstance(channels, tuple) else repr(channels)}."
            )
    if len(encoder) != len(decoder):
        raise ValueError(
            f"Encoder and decoder need the same number of levels: found encoder_block_out_channels={list(encoder)} "
            f"and decoder_block_out_channels={list(decoder)}."
        )
    factor = downsampling_factor(config)
    if config["sample_size"] % factor:
        raise ValueError(
            f"sample_size {config['sample_size']} is not a multiple of {factor}, the downsampling factor of "
            f"{len(encoder)} levels."
        )
    _check_statistics(config["latents_mean"], config["latents_std"], config["latent_channels"])
    scale = config["scaling_factor"]
    if type(scale) not in (int, float) or not 0 < scale < math.inf:
        raise ValueError(f"scaling_factor expects finite numbers above 0, found {scale!r}.")


def downsampling_factor(config: Mapping[str, Any]) -> int:
    """The height of the frames of an autoencoder relative to that of its latents."""
    return 2 ** (len(config["encoder_block_out_channels"]) - 1)


def check_image_channels(config: Mapping[str, Any]) -> None:
    """Refuse an autoencoder whose images are neither RGB nor grey, for which there are no losses and figures.

    Raises:
        ValueError: shows the channels.
    """
    channels = [config["in_channels"], config["out_channels"]]
    if channels not in ([1, 1], [3, 3]):
        raise ValueError(
            f"model.in_channels and model.out_channels expect 3 for RGB or 1 for grey frames, found {channels}."
        )


def check_forecaster(config: Mapping[str, Any]) -> None:
    """Check the arguments of a SmokeFlowTransformer.

    Raises:
        ValueError: says which value does not fit, and what was expected.
    """
    sizes = ("in_channels", "sample_size", "num_previous", "num_frames")
    for name in (*sizes, "num_layers", "num_attention_heads", "attention_head_dim"):
        check_count(name, config[name])
    width = config["num_attention_heads"] * config["attention_head_dim"]
    if width < 4 or width % 4:
        raise ValueError(f"num_attention_heads * attention_head_dim expects a multiple of 4, found {width}.")
    check_positive("noise_scale", config["noise_scale"])
    from .flow_matching import PREDICTION_TYPES, make_coupling  # imports torch

    coupling = make_coupling(config["coupling"], config["coupling_kwargs"])
    choose(PREDICTION_TYPES, config["prediction_type"], "prediction type")
    if config["prediction_type"] == "velocity" and not coupling.is_random:
        raise ValueError(f"The coupling {config['coupling']!r} has no velocity: expected another prediction_type.")


def check_same(name_or_path: str, found: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Refuse a trained model whose configuration differs from what is expected of it.

    Args:
        found: its configuration.
        expected: values by name; None, and names that `found` has not, are not compared.
        where: what the names belong to, such as "model".

    Raises:
        ValueError: shows both values.
    """
    for key, value in expected.items():
        own, value = (list(one) if isinstance(one, tuple) else one for one in (found.get(key), value))
        if key in found and value is not None and own != value:
            raise ValueError(
                f"{name_or_path} has {where}.{key} = {own!r}, but the configuration has {value!r}: make them equal."
            )


def _check_statistics(mean: Any, std: Any, latent_channels: int) -> None:
    if (mean is None) != (std is None):
        raise ValueError("latents_mean and latents_std belong together: found one without the other.")
    for name, values in (("latents_mean", mean), ("latents_std", std)):
        numbers = isinstance(values, (list, tuple)) and all(type(value) in (int, float) for value in values)
        if values is not None and not (numbers and len(values) == latent_channels):
            raise ValueError(
                f"{name} expects {latent_channels} numbers, one per latent channel: found "
                f"{len(values) if numbers else repr(values)}."
            )
        unfit = [value for value in values or () if not -math.inf < value < math.inf]
        if unfit or (name == "latents_std" and values is not None and not min(values) > 0):
            kind = "finite numbers" + (" above 0" if name == "latents_std" else "")
            raise ValueError(f"{name} expects {kind}, found {(unfit or [min(values)])[0]}.")
