"""Reconstructed frames, and what is known about their codes and size."""

from typing import NamedTuple

import torch


class Reconstruction(NamedTuple):
    """Reconstructed frames and, if known, their compressed size and codes.

    sample: (B, C, H, W) in [-1, 1].
    num_bytes: (B,) size of each frame.
    num_payload_bytes: (B,) the same without file headers.
    indices: codes of a model, (B, h, w) or (B, h, w, depth), integers in [0, num_codes).
    latents, target_latents, target_indices: of a model that changes the latents of an autoencoder: what it makes of
        them, and the latents and codes of the frames (see `smoke_vq.metrics.Batch`).
    """

    sample: torch.Tensor
    num_bytes: torch.Tensor | None = None
    num_payload_bytes: torch.Tensor | None = None
    indices: torch.Tensor | None = None
    num_codes: int | None = None
    latents: torch.Tensor | None = None
    target_latents: torch.Tensor | None = None
    target_indices: torch.Tensor | None = None
