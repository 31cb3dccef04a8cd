"""Loading a model by the class that its config.json names."""

import os
from typing import Any

from ..model_config import read_config
from ..registry import choose
from .discriminator import PatchDiscriminator
from .flow_transformer import SmokeFlowTransformer
from .latent_projection import LatentProjection
from .model_folder import find_model
from .pretrained import PretrainedModel
from .vqvae import SmokeVQGAN, SmokeVQVAE

AUTOENCODERS = {"SmokeVQVAE": SmokeVQVAE, "SmokeVQGAN": SmokeVQGAN}
MODELS = {
    **AUTOENCODERS,
    "LatentProjection": LatentProjection,
    "PatchDiscriminator": PatchDiscriminator,
    "SmokeFlowTransformer": SmokeFlowTransformer,
}


class AutoSmokeModel:
    """Loads a model of any class of this library: `AutoSmokeModel.from_pretrained("user/repository")`."""

    classes = MODELS

    def __init__(self):
        raise TypeError(f"{type(self).__name__} only loads: call {type(self).__name__}.from_pretrained.")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any) -> PretrainedModel:
        """Load the model in a folder or Hub repository; keywords and errors as in `PretrainedModel.from_pretrained`."""
        folder, kwargs = find_model(pretrained_model_name_or_path, kwargs)
        found = read_config(folder, pretrained_model_name_or_path).get("_class_name")
        model_class = choose(cls.classes, found, "model class")
        return model_class.from_folder(folder, pretrained_model_name_or_path, **kwargs)


class AutoAutoencoder(AutoSmokeModel):
    """Loads a SmokeVQVAE or SmokeVQGAN and refuses any other class."""

    classes = AUTOENCODERS
