"""Loading by the class that a config.json names."""

import inspect
import os
from typing import Any

from ..registry import choose
from .discriminator import PatchDiscriminator
from .pretrained import PretrainedModel
from .saved_model import find_model, read_config
from .vqvae import SmokeVQGAN, SmokeVQVAE

AUTOENCODERS = {"SmokeVQVAE": SmokeVQVAE, "SmokeVQGAN": SmokeVQGAN}
MODELS = {**AUTOENCODERS, "PatchDiscriminator": PatchDiscriminator}


class AutoModel:
    """Loads a model of this library whichever class it is of: `AutoModel.from_pretrained("user/repository")`."""

    classes = MODELS

    def __init__(self):
        raise TypeError(f"{type(self).__name__} only loads: call {type(self).__name__}.from_pretrained.")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any) -> PretrainedModel:
        """The model in a folder or Hub repository; keywords and errors as of each model's own `from_pretrained`."""
        folder, kwargs = find_model(pretrained_model_name_or_path, kwargs)
        found = read_config(folder, pretrained_model_name_or_path).get("_class_name")
        model_class = choose(cls.classes, found, "model class")
        return model_class.from_folder(folder, pretrained_model_name_or_path, **kwargs)


class AutoAutoencoder(AutoModel):
    """Loads a SmokeVQVAE or SmokeVQGAN, and refuses what is neither."""

    classes = AUTOENCODERS


def continue_autoencoder(where: str, config: dict) -> SmokeVQGAN:
    """A SmokeVQGAN with the weights of a trained SmokeVQVAE or SmokeVQGAN.

    Args:
        where: folder or Hub name.
        config: keys of its config.json that are expected to hold.

    Raises:
        ValueError: `where` has another architecture.
    """
    source = AutoAutoencoder.from_pretrained(where)
    check_same(where, source, config, "model")
    model = SmokeVQGAN(**init_arguments(source))
    model.load_state_dict(source.state_dict())
    return model


def continue_discriminator(where: str, config: dict) -> PatchDiscriminator | None:
    """The discriminator that was trained with the SmokeVQGAN in `where`; None beside a SmokeVQVAE, which has none.

    Raises:
        ValueError: it is missing, or has another architecture.
    """
    folder, _ = find_model(where, {})
    if read_config(folder, where).get("_class_name") == "SmokeVQVAE":
        return None
    try:
        discriminator = PatchDiscriminator.from_pretrained(where, subfolder="discriminator")
    except FileNotFoundError as error:  # not a Hub that does not answer, which says so itself
        raise ValueError(
            f"{where} holds a SmokeVQGAN without its discriminator/ folder, so that its training cannot go on: add "
            f"--fresh-discriminator true to start with a new one."
        ) from error
    check_same(where, discriminator, config, "discriminator")
    return discriminator.train()


def check_same(where: str, model: PretrainedModel, config: dict, name: str) -> None:
    found = init_arguments(model)
    for key, value in config.items():
        value = list(value) if isinstance(value, tuple) else value
        if key in found and value is not None and found[key] != value:
            raise ValueError(
                f"{where} has {name}.{key} = {found[key]!r}, the configuration {value!r}: make them agree."
            )


def init_arguments(model: PretrainedModel) -> dict:
    """The entries of the model's configuration that its constructor takes."""
    values = {
        name: model.config[name] for name in inspect.signature(type(model).__init__).parameters if name in model.config
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
