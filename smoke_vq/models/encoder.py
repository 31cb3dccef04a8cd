"""Pixels to latents: the encoder of Esser et al. (2021, arXiv:2012.09841, table 7), in diffusers' blocks."""

import torch
from diffusers.models.unets.unet_2d_blocks import DownEncoderBlock2D, UNetMidBlock2D
from torch import nn


def norm_groups(*channels: int) -> int:
    """Number of groups, at most 32, for a GroupNorm on each of `channels`; at least 4 channels per group."""
    return max(g for g in range(1, 33) if g == 1 or all(c % g == 0 and c // g >= 4 for c in channels))


class Encoder(nn.Module):
    """(B, C, H, W) to (B, D, H / f, W / f), f = 2 ** (number of levels - 1).

    Each level has `layers_per_block` residual blocks and, except for the last level, then halves the resolution. At the
    lowest resolution: residual block, self-attention, residual block.

    Args:
        block_out_channels: channels of each level, from full resolution down.
    """

    def __init__(
        self,
        in_channels: int,
        latent_channels: int,
        block_out_channels: tuple[int, ...],
        layers_per_block: int,
        attention: bool = True,
    ):
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, block_out_channels[0], kernel_size=3, padding=1)
        self.down_blocks = nn.ModuleList()
        previous = block_out_channels[0]
        for level, channels in enumerate(block_out_channels):
            self.down_blocks.append(
                DownEncoderBlock2D(
                    in_channels=previous,
                    out_channels=channels,
                    num_layers=layers_per_block,
                    resnet_groups=norm_groups(previous, channels),
                    add_downsample=level < len(block_out_channels) - 1,
                    downsample_padding=0,
                )
            )
            previous = channels
        self.mid_block = UNetMidBlock2D(
            in_channels=previous,
            temb_channels=None,
            resnet_groups=norm_groups(previous),
            attention_head_dim=previous,
            add_attention=attention,
        )
        self.conv_norm_out = nn.GroupNorm(norm_groups(previous), previous, eps=1e-6)
        self.conv_out = nn.Conv2d(previous, latent_channels, kernel_size=3, padding=1)
        self.gradient_checkpointing = False

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        hidden = self.conv_in(pixel_values)
        for block in (*self.down_blocks, self.mid_block):
            if self.gradient_checkpointing and torch.is_grad_enabled():
                hidden = self._gradient_checkpointing_func(block, hidden)
            else:
                hidden = block(hidden)
        return self.conv_out(nn.functional.silu(self.conv_norm_out(hidden)))
