"""Latents to pixels: mirrors the encoder, with a narrower channel list of its own and a final tanh."""

import torch
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D, UpDecoderBlock2D
from torch import nn

from .encoder import norm_groups


class Decoder(nn.Module):
    """(B, D, h, w) to (B, C, h * f, w * f) in [-1, 1], f = 2 ** (number of levels - 1).

    At the lowest resolution: residual block, self-attention, residual block. Each level then has `layers_per_block + 1`
    residual blocks (one more than in the encoder, as in taming-transformers) and, except for the last level, doubles
    the resolution.

    Args:
        block_out_channels: channels of each level, from the latents up.
    """

    def __init__(
        self,
        latent_channels: int,
        out_channels: int,
        block_out_channels: tuple[int, ...],
        layers_per_block: int,
        attention: bool = True,
    ):
        super().__init__()
        previous = block_out_channels[0]
        self.conv_in = nn.Conv2d(latent_channels, previous, kernel_size=3, padding=1)
        self.mid_block = UNetMidBlock2D(
            in_channels=previous,
            temb_channels=None,
            resnet_groups=norm_groups(previous),
            attention_head_dim=previous,
            add_attention=attention,
        )
        self.up_blocks = nn.ModuleList()
        for level, channels in enumerate(block_out_channels):
            self.up_blocks.append(
                UpDecoderBlock2D(
                    in_channels=previous,
                    out_channels=channels,
                    num_layers=layers_per_block + 1,
                    resnet_groups=norm_groups(previous, channels),
                    add_upsample=level < len(block_out_channels) - 1,
                )
            )
            previous = channels
        self.conv_norm_out = nn.GroupNorm(norm_groups(previous), previous, eps=1e-6)
        self.conv_out = nn.Conv2d(previous, out_channels, kernel_size=3, padding=1)
        self.gradient_checkpointing = False

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        hidden = self.conv_in(latents)
        for block in (self.mid_block, *self.up_blocks):
            if self.gradient_checkpointing and torch.is_grad_enabled():
                hidden = self._gradient_checkpointing_func(block, hidden)
            else:
                hidden = block(hidden)
        return torch.tanh(self.conv_out(nn.functional.silu(self.conv_norm_out(hidden))))
