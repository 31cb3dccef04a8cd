"""Starting a training from trained weights."""

import inspect
from typing import TypeVar

import torch

from ..data.loader import FrameLoader
from ..layout import DISCRIMINATOR
from ..model_config import read_config
from ..model_values import check_same
from ..quantizers.checks import check_enough_latents
from .auto import AutoAutoencoder
from .discriminator import PatchDiscriminator
from .flow_transformer import SmokeFlowTransformer
from .model_folder import find_model
from .pretrained import PretrainedModel
from .vqvae import SmokeVQVAE

Autoencoder = TypeVar("Autoencoder", bound=SmokeVQVAE)


def continue_autoencoder(
    model_class: type[Autoencoder], name_or_path: str, config: dict, same_latents: bool = False
) -> Autoencoder:
    """Return a model of `model_class` with the sizes, weights and codes of a trained SmokeVQVAE or SmokeVQGAN.

    Args:
        name_or_path: folder, Hub repository, or "nano".
        config: entries of config.json that the trained model must have.
        same_latents: keep the statistics of its latents, which are left out otherwise, because they change in training.

    Raises:
        ValueError: the trained model has another architecture, or is damaged.
        OSError: there is no such model.
    """
    source = AutoAutoencoder.from_pretrained(name_or_path)
    check_same(name_or_path, _init_arguments(source), config, "model")
    changes = {} if same_latents else {"latents_mean": None, "latents_std": None}
    model = model_class(**_init_arguments(source) | changes)
    model.load_state_dict(source.state_dict())
    return model


def check_crops(model: PretrainedModel, loader: FrameLoader) -> None:
    """Raise a ValueError if the loader makes squares whose side the model cannot divide."""
    if loader.crop_batches > 0 and loader.crop_size % model.downsampling_factor != 0:
        raise ValueError(
            f"crop_size expects a multiple of {model.downsampling_factor}, the model's downsampling factor, found "
            f"{loader.crop_size}."
        )


def check_codes_can_start(model: PretrainedModel, loader: FrameLoader, init_vectors: int) -> None:
    """Refuse, before anything is encoded, a training whose frames give fewer latents than the codebook has codes.

    Args:
        model: a new SmokeVQVAE or SmokeVQGAN.
        loader: of the training frames.
        init_vectors: latents for the k-means initialization; 0 needs none.

    Raises:
        ValueError: says how many latents and codes there are.
    """
    if init_vectors == 0:
        return
    factor = model.downsampling_factor
    of_crop, of_frame = (loader.crop_size // factor) ** 2, (model.config.sample_size // factor) ** 2
    crops = min(loader.crop_batches, len(loader))
    latents = crops * of_crop + (len(loader) - crops) * of_frame
    check_enough_latents(model.quantizer, latents * loader.batch_size * loader.world_size)


def continue_discriminator(name_or_path: str, config: dict) -> PatchDiscriminator | None:
    """Return the discriminator that was trained with the SmokeVQGAN in `name_or_path`; None for a SmokeVQVAE.

    Raises:
        ValueError: it is missing, or has another architecture.
    """
    folder, _ = find_model(name_or_path, {})
    if read_config(folder, name_or_path).get("_class_name") == "SmokeVQVAE":
        return None
    try:
        discriminator = PatchDiscriminator.from_pretrained(name_or_path, subfolder=DISCRIMINATOR)
    except FileNotFoundError as error:  # no other OSError: if the Hub does not answer, its message is kept
        raise ValueError(
            f"{name_or_path} holds a SmokeVQGAN without its discriminator/ folder, so its training cannot continue: "
            f"add --fresh-discriminator true to start with a new one."
        ) from error
    check_same(name_or_path, _init_arguments(discriminator), config, "discriminator")
    return discriminator.train()


def continue_forecaster(name_or_path: str, config: dict) -> SmokeFlowTransformer:
    """Return a SmokeFlowTransformer with the weights of a trained one, which may have another coupling.

    A flow that starts from a regression, which has no noisy frames and knows only t = 0, predicts what the regression
    predicts, whatever the noisy frames and the time are.

    Args:
        name_or_path: folder or Hub repository.
        config: entries of config.json of the new model.

    Raises:
        ValueError: the trained model has another size, or predicts something else.
    """
    source, model = SmokeFlowTransformer.from_pretrained(name_or_path), SmokeFlowTransformer(**config)
    own = ("coupling", "coupling_kwargs", "noise_scale")
    own += ("autoencoder_sha256", "projection_sha256", "statistics_sha256")
    expected = {key: value for key, value in _init_arguments(model).items() if key not in own}
    check_same(name_or_path, _init_arguments(source), expected, "model")
    state, width = source.state_dict(), model.proj_in.in_features
    trained = state["proj_in.weight"]
    if trained.shape[1] > width:
        raise ValueError(f"{name_or_path} was trained on noisy frames and cannot become a regression.")
    state["proj_in.weight"] = torch.cat([trained.new_zeros(len(trained), width - trained.shape[1]), trained], dim=1)
    if model.coupling.is_random and not source.coupling.is_random:
        at_start, _ = source.adaln_single(torch.zeros(1), batch_size=1, hidden_dtype=trained.dtype)
        state["adaln_single.linear.weight"] = torch.zeros_like(state["adaln_single.linear.weight"])
        state["adaln_single.linear.bias"] = at_start[0].detach()
    model.load_state_dict(state)
    return model


def _init_arguments(model: PretrainedModel) -> dict:
    """The entries of the model's configuration that its constructor takes."""
    names = inspect.signature(type(model).__init__).parameters
    values = {name: model.config[name] for name in names if name in model.config}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
