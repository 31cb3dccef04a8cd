"""The forecaster: a transformer that predicts the latents of the next frames from those of the previous ones."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import TimestepEmbedding, Timesteps, get_2d_sincos_pos_embed
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (a pipeline looks for it beside its models)
from diffusers.models.normalization import AdaLayerNormSingle
from diffusers.utils import BaseOutput
from torch import nn

from ..flow_matching import PREDICTION_TYPES, make_coupling
from ..hub.card import CardText
from ..model_values import check_forecaster
from .pretrained import PretrainedModel

_TIME_SCALE = 1000.0  # the sinusoidal embedding expects times of this order


@dataclass
class SmokeFlowTransformerOutput(BaseOutput):
    """
    sample: (B, F, C, h, w), the expectation of the next frames given the noisy ones.
    """

    sample: torch.Tensor


class SmokeFlowTransformer(PretrainedModel):
    """Flow matching for the next frames of a plume, after RIVER (Davtyan et al., 2023, arXiv:2211.14575).

    A token is one of the h * w latent positions. Its channels are those of the F noisy next frames, of the P previous
    frames and, with `use_earlier_frame`, of one earlier frame, whose distance in time is embedded like the time of the
    flow. RIVER is P = F = 1 with the earlier frame. With larger F the next frames are predicted jointly, so that their
    errors do not accumulate, and longer forecasts continue in chunks of F frames (see `rollout`).

    Latents are normalized: about mean 0 and standard deviation 1.

    Args:
        in_channels: C, channels of the latents.
        sample_size: h and w.
        num_previous: P, previous frames.
        num_frames: F, next frames.
        use_earlier_frame: whether there is an earlier frame.
        num_layers, num_attention_heads, attention_head_dim: size; the width is heads times dimension, a multiple of 4.
        coupling: a name in `smoke_vq.flow_matching.COUPLINGS`, with `coupling_kwargs`.
        prediction_type: what the network's output is: "frame" (the next frames), "difference" (from the last previous
            frame) or "velocity" (of the flow).
        noise_scale: standard deviation of the noise that forecasts start from. Training uses 1; more widens forecasts
            that are too sure of themselves, by an amount to be found on validation clips.
        autoencoder_sha256, projection_sha256: identity of what made the latents it was trained on
            (`latents_digest` of the autoencoder, `model_digest` of the projection).
        statistics_sha256: without a projection, identity of the numbers by which the autoencoder normalizes its latents
            (`statistics_digest`); None in models of earlier versions, for which it is not compared.

    Raises:
        ValueError: an unknown coupling or prediction type, or invalid sizes.
    """

    card_text = CardText()
    _supports_gradient_checkpointing = False
    _no_split_modules = ["BasicTransformerBlock"]  # noqa: RUF012  (diffusers' name and form)

    @register_to_config
    def __init__(
        self,
        in_channels: int = 4,
        sample_size: int = 8,
        num_previous: int = 8,
        num_frames: int = 16,
        use_earlier_frame: bool = False,
        num_layers: int = 8,
        num_attention_heads: int = 8,
        attention_head_dim: int = 64,
        coupling: str = "linear",
        coupling_kwargs: dict[str, Any] | None = None,
        prediction_type: str = "difference",
        noise_scale: float = 1.0,
        autoencoder_sha256: str | None = None,
        projection_sha256: str | None = None,
        statistics_sha256: str | None = None,
    ):
        super().__init__()
        check_forecaster(self.config)
        self.coupling = make_coupling(coupling, coupling_kwargs)
        self.to_frames = PREDICTION_TYPES[prediction_type]
        width = num_attention_heads * attention_head_dim
        noisy = num_frames if self.coupling.is_random else 0
        frames = noisy + num_previous + use_earlier_frame
        self.proj_in = nn.Linear(frames * in_channels, width)
        positions = get_2d_sincos_pos_embed(width, sample_size, base_size=sample_size, output_type="pt")
        self.pos_embed = nn.Parameter(positions.float()[None])
        self.adaln_single = AdaLayerNormSingle(width)
        self.distance_embedder = None
        if use_earlier_frame:
            self.time_proj = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)
            self.distance_embedder = TimestepEmbedding(256, width, out_dim=6 * width)
            nn.init.zeros_(self.distance_embedder.linear_2.weight)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(
                width,
                num_attention_heads,
                attention_head_dim,
                activation_fn="gelu-approximate",
                attention_bias=True,
                norm_type="ada_norm_single",
                norm_elementwise_affine=False,
                norm_eps=1e-6,
            )
            for _ in range(num_layers)
        )
        self.norm_out = nn.LayerNorm(width)
        self.proj_out = nn.Linear(width, num_frames * in_channels)
        # At first the last frame is repeated, and neither the noisy frames nor the time have an influence: a flow that
        # starts from a regression predicts what the regression predicts.
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)
        nn.init.zeros_(self.adaln_single.linear.weight)
        with torch.no_grad():
            self.proj_in.weight[:, : noisy * in_channels] = 0

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        previous: torch.Tensor,
        earlier: torch.Tensor | None = None,
        distance: torch.Tensor | None = None,
        return_dict: bool = True,
    ) -> SmokeFlowTransformerOutput | tuple:
        """Predict the next frames.

        Args:
            sample: (B, F, C, h, w), the noisy next frames.
            timestep: (B,) in [0, 1]: 0 is the source, 1 the frames.
            previous: (B, P, C, h, w), in order of time.
            earlier: (B, C, h, w), a frame before the previous ones, for a model with `use_earlier_frame`.
            distance: (B,), the number of frames from `earlier` to the last of `previous`.
        """
        if (earlier is None or distance is None) == self.config.use_earlier_frame:
            needs = "needs" if self.config.use_earlier_frame else "does not take"
            raise ValueError(f"This model {needs} an earlier frame and its distance.")
        frames = [sample] if self.coupling.is_random else []
        frames.append(previous)
        if earlier is not None:
            frames.append(earlier[:, None])
        tokens = torch.cat(frames, dim=1).flatten(1, 2).flatten(2).transpose(1, 2)  # (B, h * w, channels)
        hidden = self.proj_in(tokens) + self.pos_embed
        modulation, _ = self.adaln_single(timestep * _TIME_SCALE, batch_size=len(sample), hidden_dtype=hidden.dtype)
        if earlier is not None:
            embedded = self.time_proj(distance).to(hidden.dtype)
            modulation = modulation + self.distance_embedder(embedded)
        for block in self.transformer_blocks:
            hidden = block(hidden, timestep=modulation)
        output = self.proj_out(self.norm_out(hidden)).transpose(1, 2).unflatten(2, sample.shape[-2:])
        output = output.unflatten(1, sample.shape[1:3]).to(sample.dtype)
        last = previous[:, -1:].expand_as(sample)
        result = self.to_frames(output, self.coupling, sample, last, timestep)
        return SmokeFlowTransformerOutput(sample=result) if return_dict else (result,)
