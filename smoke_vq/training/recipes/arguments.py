"""The options of each recipe, apart from its objective: reading them takes no network and no torch."""

import math
from dataclasses import dataclass
from typing import Literal

from ..arguments import ADJUSTABLE, FREE, RecipeArguments, option


@dataclass
class AutoencoderArguments(RecipeArguments):
    """Options of both autoencoder recipes."""

    init_from: str | None = option(
        None,
        "Trained SmokeVQVAE or SmokeVQGAN to start from, with its sizes and codes: a folder, a Hub name, or 'nano' for "
        "the small model that comes with smoke_vq.",
    )
    reconstruction_weight: float = option(1.0, "Weight of the masked MSE.")
    quantizer_loss_weights: dict = option(
        {}, "Weights of the quantizer's losses by name (vq: commitment 0.1, codebook 1) that replace its defaults."
    )
    background_weight: float = option(0.2, "Weight of background pixels in the masked MSE; smoke has 1.")
    continuous_steps: int = option(
        0, "Optimizer steps before the k-means initialization and quantization; none with init_from."
    )
    codebook_init_vectors: int = option(
        32768, "Latents for the k-means initialization of the codebook; 0 or init_from disable it."
    )
    revival_steps: int = option(50, "Optimizer steps between revivals of unused codes; 0 disables them.")
    revive_until: float = option(0.8, "Share of the training after which no code is revived.")

    def __post_init__(self):
        super().__post_init__()
        for name, weight in self.quantizer_loss_weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise ValueError(
                    f"quantizer_loss_weights.{name} expects a finite number of 0 or more, found {weight!r}."
                )

    @property
    def starts_trained(self) -> bool:
        """Whether encoder and codebook are trained before the first step."""
        return self.init_from is not None

    @property
    def freezes_codebook(self) -> bool:
        """Whether the codes must stay what they are."""
        return False


@dataclass
class VQVAEArguments(AutoencoderArguments):
    """Train a SmokeVQVAE: accelerate launch scripts/train_vqvae.py --config configs/config_vqvae.yaml."""

    name = "vqvae"


@dataclass
class VQGANArguments(AutoencoderArguments):
    """Train a SmokeVQGAN: accelerate launch scripts/train_vqgan.py --config configs/config_vqgan.yaml."""

    name = "vqgan"

    lr_disc: float = option(1e-4, "Learning rate of the discriminator after warm-up.", ADJUSTABLE)
    adam_beta1_disc: float = option(0.5, "Decay of AdamW's first moment for the discriminator, as in pix2pix.")
    perceptual_weight: float = option(1.0, "Weight of the perceptual loss.")
    perceptual: Literal["vgg16", "lpips_vgg", "lpips_alex"] = option("vgg16", "Which perceptual loss.")
    perceptual_weights: str | None = option(None, "Safetensors file of its network (VGG16 or AlexNet).", FREE)
    adversarial_weight: float = option(0.5, "Weight of the adversarial loss, times the adaptive weight; 0 disables it.")
    disc_start: int = option(10000, "Optimizer steps before the adversarial loss reaches the autoencoder.")
    disc_warmup_steps: int = option(500, "Steps before disc_start in which only the discriminator learns.")
    disc_ramp_steps: int = option(
        500, "Steps after disc_start over which the adversarial loss grows to its full weight."
    )
    disc_weight_max: float = option(0.75, "Largest adaptive weight.")
    lecam_weight: float = option(0.0, "Weight of LeCAM regularization in the discriminator's loss; 0 disables it.")
    fresh_discriminator: bool = option(False, "Start a new discriminator even if init_from has one.")
    train_only_decoder: bool = option(False, "Freeze encoder and codebook, so that the codes stay compatible.")
    discriminator: dict = option({}, "Keys of the discriminator's config.json.")

    def __post_init__(self):
        super().__post_init__()
        if self.train_only_decoder and self.init_from is None:
            raise ValueError("train_only_decoder needs init_from: an untrained encoder would stay untrained.")

    @property
    def freezes_codebook(self) -> bool:
        return self.train_only_decoder


@dataclass
class LatentProjectionArguments(RecipeArguments):
    """Train a LatentProjection: accelerate launch scripts/train_latent_projection.py --autoencoder runs/tiny/best."""

    name = "latent_projection"

    autoencoder: str | None = option(
        None,
        "Folder or Hub name of the trained autoencoder, which stays as it is.",
        FREE,  # it may be moved: the SHA-256 of its weights is compared instead
    )
    latent_weight: float = option(1.0, "Weight of the squared error of latents, relative to their variance.")
    pixel_weight: float = option(1.0, "Weight of the squared error of decoded frames.")
    background_weight: float = option(0.2, "Weight of background pixels in the error of frames; smoke has 1.")

    def __post_init__(self):
        super().__post_init__()
        if self.autoencoder is None:
            raise ValueError(
                "No autoencoder: give autoencoder in the configuration or --autoencoder on the command line."
            )
        if self.latent_weight == self.pixel_weight == 0:
            raise ValueError("latent_weight and pixel_weight are both 0: nothing is left to learn.")


@dataclass
class FlowMatchingArguments(RecipeArguments):
    """Train a SmokeFlowTransformer on the latents of an autoencoder.

    accelerate launch scripts/train_flow_matching.py --config configs/config_flow_matching.yaml
    """

    name = "flow_matching"

    autoencoder: str | None = option(
        None, "Folder or Hub name of the autoencoder; unset takes the small one of the repository."
    )
    projection: str | None = option(
        None,
        "Folder or Hub name of a LatentProjection; unset takes principal components if model.in_channels is "
        "smaller than the number of latent channels.",
    )
    init_from: str | None = option(
        None, "Trained SmokeFlowTransformer to start from, for example a regression: a folder or Hub name."
    )
    regression_steps: int = option(
        0, "Optimizer steps at the start in which the mean of the next frames is learned, without noise and at t = 0."
    )
    condition_noise: float = option(0.05, "Standard deviation of noise on the observed latents in training.")
    smoke_weight: float = option(5.0, "Weight of positions with smoke in the loss; black ones have 1.")
    velocity_exponent: float = option(
        0.5,
        "The error of the predicted frames is weighted by the velocity's factor to this power: 1 is the loss of flow "
        "matching, 0 the error of the frames alone.",
    )
    forecast_frames: int = option(16, "Frames of a forecast in validations.", at_least=1)
    num_samples: int = option(4, "Samples of a forecast in validations.", at_least=1)
    num_inference_steps: int = option(
        10, "Evaluations of the network for a chunk of frames in validations.", at_least=1
    )
    sampler: Literal["euler", "heun", "rk4"] = option("euler", "Sampler in validations.")
