"""Reconstructions without training: black frames, bicubic upsampling, and image codecs at their smallest setting."""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..pixels import BLACK, clamp, to_images, to_pixel_values

_BICUBIC_SIZE = 8
_WEBP_HEADER = 20  # RIFF, its length, WEBP, and the name and length of the only chunk


class Reconstruction(NamedTuple):
    """Reconstructed frames and, if known, their compressed size and codes.

    sample: (B, C, H, W) in [-1, 1].
    num_bytes: (B,) size of each frame.
    num_payload_bytes: (B,) the same without file headers.
    indices: codes of a model, integers in [0, num_codes).
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


def black(target: torch.Tensor) -> Reconstruction:
    """Black frames, without smoke."""
    return Reconstruction(torch.full_like(target, BLACK), torch.zeros(len(target), device=target.device))


def bicubic(target: torch.Tensor) -> Reconstruction:
    """Area-averaged to 8x8x3, upsampled bicubically.

    With 8 bits per value this is 1,536 bits (192 bytes) per frame; 8x8 codes out of 1,024 are 640 (80 bytes).
    """
    small = F.interpolate(target, (_BICUBIC_SIZE, _BICUBIC_SIZE), mode="area")
    sample = clamp(F.interpolate(small, target.shape[2:], mode="bicubic", align_corners=False))
    return Reconstruction(sample, torch.full((len(target),), float(small[0].numel()), device=target.device))


def webp(target: torch.Tensor) -> Reconstruction:
    """Lossy WebP at quality 0 with the slowest method, which gives the smallest files."""
    return _coded(target, lambda data: len(data) - _WEBP_HEADER, format="WEBP", quality=0, method=6)


def jpeg(target: torch.Tensor) -> Reconstruction:
    """Baseline JPEG at quality 1, with chroma at half size and optimised Huffman tables, which count as headers."""
    return _coded(target, _scan_length, format="JPEG", quality=1, subsampling="4:2:0", optimize=True)


def _coded(target: torch.Tensor, payload: Callable[[bytes], int], **options) -> Reconstruction:
    """Write frames as files in memory and read them back."""
    frames = to_images(target).cpu().numpy()
    files = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, **options)
        files.append(file)
    read = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    sample = to_pixel_values(torch.from_numpy(read).to(target.device)).to(target.dtype)
    sample = sample.contiguous(memory_format=torch.channels_last)  # as decoded; the last bits of a network depend on it
    sizes = [(len(file.getvalue()), payload(file.getvalue())) for file in files]
    return Reconstruction(sample, *torch.tensor(sizes, dtype=torch.float32, device=target.device).unbind(dim=1))


def _scan_length(data: bytes) -> int:
    """Bytes of a JPEG between the header of its only scan and the end marker."""
    start = data.index(b"\xff\xda") + 2
    return len(data) - 2 - start - int.from_bytes(data[start : start + 2], "big")


BASELINES = {"black": black, "bicubic 8x8": bicubic, "WebP": webp, "JPEG": jpeg}
