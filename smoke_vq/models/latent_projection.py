"""Latents with fewer channels and back, for generative models that expect 4 of them."""

import re
from dataclasses import dataclass

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (a pipeline looks for it beside its models)
from diffusers.utils import BaseOutput
from torch import nn

from ..assets import LATENT_PROJECTION_CARD
from ..checks import check_count
from ..hub.card import CardText
from ..tensors import check_maps
from ..tokens import PrincipalComponents, latents_digest, makes_latents
from .pretrained import PretrainedModel


@dataclass
class LatentProjectionOutput(BaseOutput):
    """
    latents: (B, D, h, w), the latents that `projected` stands for.
    projected: (B, C, h, w).
    """

    latents: torch.Tensor
    projected: torch.Tensor | None = None


class LatentProjection(PretrainedModel):
    """Projects latents to fewer channels at each position, and back.

    D = `latent_channels` is the number of channels of an autoencoder's latents (before quantization), and C =
    `projected_channels` the number that is left. Both directions are learnable and start as the principal components
    of the latents (`set_principal_components`), which no other linear projection to C channels beats in squared error
    (Eckart & Young, 1936). Projected channels have mean 0 over the training latents, the relative variances of the
    principal components, and one common factor that makes their mean variance 1.

    Everything runs in the precision of the weights, regardless of autocast: latents near the border between two codes
    need it.

    Args:
        hidden_channels: width of the hidden layer of a network of 1x1 convolutions that is added to the linear maps, in
            each direction, and that is zero at the start; None for linear maps alone.
        autoencoder_sha256: `smoke_vq.tokens.latents_digest` of the autoencoder.

    Raises:
        ValueError: more channels than the latents have, or other invalid values.
    """

    card_text = CardText(
        template=LATENT_PROJECTION_CARD,
        tags=("smoke", "plumes", "latents", "pca"),
        task_name="Projection of latents",
        reported=("latent_error", "codes_unchanged", "masked_mse", "background_mse", "psnr", "ssim"),
    )

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 256,
        projected_channels: int = 4,
        hidden_channels: int | None = None,
        autoencoder_sha256: str | None = None,
    ):
        super().__init__()
        check_count("latent_channels", latent_channels)
        if type(projected_channels) is not int or not 1 <= projected_channels <= latent_channels:
            raise ValueError(
                f"projected_channels expects a number from 1 to latent_channels ({latent_channels}), found "
                f"{projected_channels!r}."
            )
        if hidden_channels is not None and not (type(hidden_channels) is int and hidden_channels >= 1):
            raise ValueError(f"hidden_channels expects 1 or more, or null for linear maps, found {hidden_channels!r}.")
        if autoencoder_sha256 is not None and not re.fullmatch("[0-9a-f]{64}", str(autoencoder_sha256)):
            raise ValueError(f"autoencoder_sha256 expects 64 hexadecimal digits, found {autoencoder_sha256!r}.")
        self.projection = nn.Conv2d(latent_channels, projected_channels, 1)
        self.unprojection = nn.Conv2d(projected_channels, latent_channels, 1)
        self.projection_residual = self.unprojection_residual = None
        if hidden_channels is not None:
            self.projection_residual = _residual(latent_channels, hidden_channels, projected_channels)
            self.unprojection_residual = _residual(projected_channels, hidden_channels, latent_channels)
        # The maps see latents of about unit variance, so that a learning rate fits the latents of every autoencoder.
        self.register_buffer("latents_mean", torch.zeros(latent_channels))
        self.register_buffer("latents_scale", torch.ones(1))
        self.register_buffer("projected_mean", torch.zeros(projected_channels))
        self.register_buffer("projected_scale", torch.ones(1))

    def project(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the projected latents (B, C, h, w) of `latents` (B, D, h, w)."""
        check_maps(latents, "latents", self.config.latent_channels)
        with torch.autocast(latents.device.type, enabled=False):
            latents = (latents.to(self.dtype) - self.latents_mean[:, None, None]) * self.latents_scale
            projected = _sum(self.projection, self.projection_residual, latents)
            return (projected - self.projected_mean[:, None, None]) * self.projected_scale

    def unproject(self, projected: torch.Tensor) -> torch.Tensor:
        """Return the latents (B, D, h, w) of `projected` (B, C, h, w)."""
        check_maps(projected, "projected latents", self.config.projected_channels)
        with torch.autocast(projected.device.type, enabled=False):
            projected = projected.to(self.dtype) / self.projected_scale + self.projected_mean[:, None, None]
            latents = _sum(self.unprojection, self.unprojection_residual, projected)
            return latents / self.latents_scale + self.latents_mean[:, None, None]

    def forward(self, latents: torch.Tensor) -> LatentProjectionOutput:
        """Project `latents` (B, D, h, w) and return them as they come back."""
        projected = self.project(latents)
        return LatentProjectionOutput(latents=self.unproject(projected), projected=projected)

    @torch.no_grad()
    def set_principal_components(self, found: PrincipalComponents) -> None:
        """Become the projection to the first C principal components, and its transpose.

        Raises:
            ValueError: components of another number of channels, or of latents that are all equal.
        """
        expected, count = self.config.latent_channels, self.config.projected_channels
        if len(found.mean) != expected:
            raise ValueError(f"Expected principal components of {expected} channels, found {len(found.mean)}.")
        mean_variance = float(found.variances[:count].mean())
        if not mean_variance > 0:
            raise ValueError("Expected latents that differ, found principal components of variance 0.")
        axes = found.components[:count]
        for parameter, value in (
            (self.projection.weight, axes[:, :, None, None]),
            (self.unprojection.weight, axes.T[:, :, None, None]),
            (self.latents_mean, found.mean),
            (self.latents_scale, mean_variance**-0.5),
            (self.projected_scale, 1.0),
        ):
            parameter.copy_(torch.as_tensor(value))
        for zeroed in (self.projection.bias, self.unprojection.bias, self.projected_mean):
            zeroed.zero_()
        for residual in (self.projection_residual, self.unprojection_residual):
            if residual is not None:
                _zero(residual[-1])

    @torch.no_grad()
    def normalize_projected(self, mean: torch.Tensor, mean_variance: float) -> None:
        """Give the projected channels mean 0 and mean variance 1, without changing what comes back.

        Args:
            mean: (C,), what `project` returns on average.
            mean_variance: mean over the channels of their variances.
        """
        self.projected_mean += mean.to(self.projected_mean) / self.projected_scale
        self.projected_scale /= mean_variance**0.5

    def check_autoencoder(self, autoencoder: nn.Module) -> None:
        """Refuse an autoencoder other than the one whose latents this projection was made for.

        Raises:
            ValueError: the weights differ from those that `autoencoder_sha256` names, or it names none.
        """
        expected = self.config.autoencoder_sha256
        if expected is None:
            raise ValueError("The projection's config.json does not name its autoencoder: autoencoder_sha256 is null.")
        if not makes_latents(autoencoder, expected):
            raise ValueError(
                f"The projection belongs to another autoencoder: expected encoder and codebook with SHA-256 "
                f"{expected[:12]}..., found {latents_digest(autoencoder)[:12]}...."
            )


def _residual(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    last = nn.Conv2d(hidden_channels, out_channels, 1)
    _zero(last)
    return nn.Sequential(nn.Conv2d(in_channels, hidden_channels, 1), nn.SiLU(), last)


def _sum(linear: nn.Module, residual: nn.Module | None, inputs: torch.Tensor) -> torch.Tensor:
    return linear(inputs) if residual is None else linear(inputs) + residual(inputs)


def _zero(layer: nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
