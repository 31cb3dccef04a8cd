"""The autoencoder: encoder, quantizer and decoder."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import AutoencoderMixin, DecoderOutput
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (a pipeline looks for it beside its models)
from diffusers.utils import BaseOutput
from diffusers.utils.accelerate_utils import apply_forward_hook

from ..assets import AUTOENCODER_CARD
from ..hub.card import CardText
from ..model_values import check_autoencoder, downsampling_factor
from ..pixels import check_range
from ..quantizers import make_quantizer
from ..tensors import check_maps
from .decoder import Decoder
from .encoder import Encoder
from .pretrained import PretrainedModel

TAGS = ("smoke", "plumes", "vector-quantization", "autoencoder")


@dataclass
class SmokeVQVAEEncoderOutput(BaseOutput):
    """
    latents: (B, D, h, w), the encoder's output, before quantization.
    indices: (B, h, w), int64 in [0, num_vq_embeddings): the codes; (B, h, w, depth) if a position has several.
    """

    latents: torch.Tensor
    indices: torch.Tensor = None  # type: ignore[assignment]  (BaseOutput takes one required field)


@dataclass
class SmokeVQVAEOutput(BaseOutput):
    """
    sample: (B, C, H, W) in [-1, 1], the reconstruction.
    latents: (B, D, h, w), before quantization.
    indices: (B, h, w), int64 in [0, num_vq_embeddings), or (B, h, w, depth).
    losses: those of the quantizer, by name, unweighted: `commitment` and `codebook` for the vector quantizer.
    """

    sample: torch.Tensor
    latents: torch.Tensor | None = None
    indices: torch.Tensor | None = None
    losses: dict[str, torch.Tensor] | None = None


class SmokeVQVAE(PretrainedModel, AutoencoderMixin):
    """Encodes smoke frames as grids of discrete codes and decodes them (van den Oord et al., 2017, arXiv:1711.00937).

    Shapes: B batch, C image channels, H W pixels, D = `latent_channels`, h = H / f, w = W / f with the downsampling
    factor f = 2 ** (number of levels - 1). Pixels are in [-1, 1] and black is -1. The defaults are the full model:
    64x64 RGB to 8x8 codes out of 1024.

    Pixels and latents are tensors of any floating dtype, which are converted to that of the weights, and hold at least
    one sample. `encode`, and `forward` in evaluation mode, also refuse pixels outside [-1, 1] and NaN. A compiled
    or exported graph, and the forward pass of a training, have no such check, which would make a GPU wait.

    Args:
        sample_size: H and W of the training images, for information: any multiple of f works.
        latent_channels: D, the dimension of the latents and of the codes.
        encoder_block_out_channels: channels of each level of the encoder, from full resolution down.
        decoder_block_out_channels: channels of each level of the decoder, from the latents up; the same number of
            levels.
        layers_per_block: residual blocks per level in the encoder; the decoder has one more.
        mid_block_attention: self-attention at the lowest resolution of encoder and decoder.
        quantizer_type: a name in `smoke_vq.quantizers.QUANTIZERS`.
        num_vq_embeddings: K, the number of codes in a codebook.
        quantizer_kwargs: further keyword arguments of the quantizer's class.
        latents_mean: D numbers, the mean of each latent channel over the training set; None if not measured.
        latents_std: D numbers, the standard deviation of each latent channel; None if not measured.
        scaling_factor: factor on the normalized latents, as in diffusers' autoencoders.

    Attributes:
        checks_pixels: whether the values of pixels are checked; False saves one pass over them.

    Raises:
        ValueError: an unknown quantizer, an unknown keyword in `quantizer_kwargs`, or invalid sizes.
    """

    card_text = CardText(
        template=AUTOENCODER_CARD,
        tags=(*TAGS, "vq-vae"),
        pipeline_tag="image-to-image",
        task_name="Reconstruction",
        reported=("masked_mse", "background_mse", "psnr", "ssim", "perceptual", "num_codes_used", "perplexity"),
    )
    _supports_gradient_checkpointing = True
    _keep_in_fp32_modules = ["quantizer"]  # noqa: RUF012  (diffusers' name and form)
    _no_split_modules = ["DownEncoderBlock2D", "UNetMidBlock2D", "UpDecoderBlock2D"]  # noqa: RUF012

    @register_to_config
    def __init__(
        self,
        sample_size: int = 64,
        in_channels: int = 3,
        out_channels: int = 3,
        latent_channels: int = 256,
        encoder_block_out_channels: tuple[int, ...] = (128, 256, 512, 1024),
        decoder_block_out_channels: tuple[int, ...] = (128, 64, 32, 16),
        layers_per_block: int = 2,
        mid_block_attention: bool = True,
        quantizer_type: str = "vq",
        num_vq_embeddings: int = 1024,
        quantizer_kwargs: dict[str, Any] | None = None,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
        scaling_factor: float = 1.0,
    ):
        super().__init__()
        check_autoencoder(self.config)
        self.downsampling_factor = downsampling_factor(self.config)
        self.encoder = Encoder(
            in_channels, latent_channels, tuple(encoder_block_out_channels), layers_per_block, mid_block_attention
        )
        self.quantizer = make_quantizer(quantizer_type, num_vq_embeddings, latent_channels, quantizer_kwargs)
        self.decoder = Decoder(
            latent_channels, out_channels, tuple(decoder_block_out_channels), layers_per_block, mid_block_attention
        )
        self.use_slicing = False
        self.checks_pixels = True

    @overload
    def encode(self, pixel_values: torch.Tensor, return_dict: Literal[True] = True) -> SmokeVQVAEEncoderOutput: ...
    @overload
    def encode(self, pixel_values: torch.Tensor, return_dict: bool) -> SmokeVQVAEEncoderOutput | tuple: ...
    @apply_forward_hook
    def encode(self, pixel_values: torch.Tensor, return_dict: bool = True) -> SmokeVQVAEEncoderOutput | tuple:
        """Return the latents before quantization and the codes of `pixel_values` (B, C, H, W) in [-1, 1].

        Raises:
            ValueError: another type, shape or range, or NaN.
        """
        latents = self._encode(pixel_values, self.checks_pixels)
        indices = self._sliced(lambda part: self.quantizer(part).indices, latents)
        if not return_dict:
            return latents, indices
        return SmokeVQVAEEncoderOutput(latents=latents, indices=indices)

    @apply_forward_hook
    def decode(
        self, latents: torch.Tensor, return_dict: bool = True, force_not_quantize: bool = False
    ) -> DecoderOutput | tuple:
        """Replace `latents` (B, D, h, w), of any floating dtype, by their nearest codes and decode them.

        With `force_not_quantize` the decoder receives the latents unchanged.

        Raises:
            ValueError: another type or shape.
        """
        check_maps(latents, "latents", self.config.latent_channels)
        if not force_not_quantize:
            latents = self._sliced(lambda part: self.quantizer(part).quantized, latents)
        sample = self._sliced(self.decoder, latents.to(self.dtype))
        return DecoderOutput(sample=sample) if return_dict else (sample,)

    @apply_forward_hook
    def decode_indices(self, indices: torch.Tensor, return_dict: bool = True) -> DecoderOutput | tuple:
        """Decode codes (B, h, w) or (B, h, w, depth) of any integer dtype; bit-identical to the sample of `forward`.

        Raises:
            ValueError: another type, dtype or shape, or an index out of range.
        """
        return self.decode(self.quantizer.embed(indices), return_dict=return_dict, force_not_quantize=True)

    def forward(
        self, pixel_values: torch.Tensor, return_dict: bool = True, quantize: bool = True
    ) -> SmokeVQVAEOutput | tuple:
        """Encode, quantize and decode `pixel_values` (B, C, H, W) in [-1, 1].

        Without `quantize` the decoder receives the latents unchanged; indices and losses are still returned.

        Raises:
            ValueError: another type or shape; in evaluation mode also another range, or NaN.
        """
        latents = self._encode(pixel_values, self.checks_pixels and not self.training)
        output = self.quantizer(latents)
        decoded = output.quantized if quantize else latents
        if self.training and not quantize:
            # Distributed training needs a gradient for every parameter, also for those that lead from codes to latents.
            decoded = latents + 0 * output.quantized
        sample = self._sliced(self.decoder, decoded)
        if not return_dict:
            return sample, latents, output.indices, output.losses or {}
        return SmokeVQVAEOutput(sample=sample, latents=latents, indices=output.indices, losses=output.losses or {})

    def normalize_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Scale latents (B, D, h, w) to mean 0 and standard deviation `scaling_factor` in each channel.

        Raises:
            ValueError: the configuration has no `latents_mean` and `latents_std`; another type or shape.
        """
        mean, std = self._latent_statistics(latents)
        return (latents - mean) / std * self.config.scaling_factor

    def denormalize_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """The inverse of `normalize_latents`."""
        mean, std = self._latent_statistics(latents)
        return latents / self.config.scaling_factor * std + mean

    def _latent_statistics(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.config.latents_mean is None:
            raise ValueError("The model's config.json has no latents_mean and latents_std.")
        check_maps(latents, "latents", self.config.latent_channels)
        mean, std = (latents.new_tensor(self.config[name]) for name in ("latents_mean", "latents_std"))
        return mean[:, None, None], std[:, None, None]

    def save_companions(self, folder: Path) -> None:
        """Save the image processor for this model's frames."""
        from ..data.processor import SmokeImageProcessor  # imports transformers, which loading does not need

        SmokeImageProcessor.for_model(self.config).save_pretrained(folder)

    def _encode(self, pixel_values: torch.Tensor, check_values: bool) -> torch.Tensor:
        factor = self.downsampling_factor
        advice = "SmokeImageProcessor makes it from images"
        check_maps(pixel_values, "pixel_values", self.config.in_channels, "H, W", advice)
        if pixel_values.shape[2] % factor or pixel_values.shape[3] % factor:
            raise ValueError(
                f"Expected a height and width that are multiples of {factor}, found {tuple(pixel_values.shape[2:])}."
            )
        if check_values and not torch.compiler.is_compiling() and pixel_values.device.type != "meta":
            check_range(pixel_values)
        if pixel_values.dtype != self.encoder.conv_in.weight.dtype:
            pixel_values = pixel_values.to(self.dtype)
        return self._sliced(self.encoder, pixel_values)

    def _sliced(self, function: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
        """Apply `function` to the batch, or to one sample at a time after `enable_slicing()`."""
        if self.use_slicing and len(batch) > 1:
            return torch.cat([function(part) for part in batch.split(1)])
        return function(batch)


class SmokeVQGAN(SmokeVQVAE):
    """The same autoencoder, trained with perceptual and adversarial losses (Esser et al., 2021, arXiv:2012.09841)."""

    card_text = replace(SmokeVQVAE.card_text, tags=(*TAGS, "vqgan"))
