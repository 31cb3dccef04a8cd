"""Reconstructions that cost nothing to train: two that a codec has to beat, and image codecs at their smallest."""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

BASELINE_GRID = 8
WEBP_HEADER = 20  # RIFF, its length, WEBP, and the name and length of the one chunk


class Reconstruction(NamedTuple):
    """What a codec makes of frames.

    sample: (B, C, H, W) in [-1, 1].
    num_bytes: (B,), what each frame takes; num_payload_bytes: the same without the headers of a file.
    indices: the codes, of a model that has them.
    """

    sample: torch.Tensor
    num_bytes: torch.Tensor
    num_payload_bytes: torch.Tensor | None = None
    indices: torch.Tensor | None = None


def black(target: torch.Tensor) -> Reconstruction:
    """All black: what a model that hallucinates nothing and draws nothing gives."""
    return Reconstruction(torch.full_like(target, -1.0), torch.zeros(len(target), device=target.device))


def bicubic(target: torch.Tensor) -> Reconstruction:
    """Area-averaged to 8x8x3, upsampled bicubically.

    At 8 bits a value that is 1,536 bits (192 bytes) a frame, where 8x8 codes out of 1024 are 640 (80 bytes).
    """
    small = F.interpolate(target, (BASELINE_GRID, BASELINE_GRID), mode="area")
    sample = F.interpolate(small, target.shape[2:], mode="bicubic", align_corners=False).clamp(-1, 1)
    return Reconstruction(sample, torch.full((len(target),), float(small[0].numel()), device=target.device))


def webp(target: torch.Tensor) -> Reconstruction:
    """Lossy WebP at quality 0 and the slowest, smallest method."""
    return _through(target, lambda data: len(data) - WEBP_HEADER, format="WEBP", quality=0, method=6)


def jpeg(target: torch.Tensor) -> Reconstruction:
    """Baseline JPEG at quality 1, chroma at half size, with Huffman tables of its own; these count as headers."""
    return _through(target, _scan_length, format="JPEG", quality=1, subsampling="4:2:0", optimize=True)


def _through(target: torch.Tensor, payload: Callable[[bytes], int], **options) -> Reconstruction:
    """Frames written as files and read back."""
    frames = (target.add(1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    files = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, **options)
        files.append(file)
    read = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    sample = torch.from_numpy(read).to(target.device).permute(0, 3, 1, 2).to(target.dtype) / 127.5 - 1
    sizes = [(len(file.getvalue()), payload(file.getvalue())) for file in files]
    return Reconstruction(sample, *torch.tensor(sizes, dtype=torch.float32, device=target.device).unbind(dim=1))


def _scan_length(data: bytes) -> int:
    """Bytes of a JPEG between the header of its one scan and the end marker."""
    start = data.index(b"\xff\xda") + 2
    return len(data) - 2 - start - int.from_bytes(data[start : start + 2], "big")


BASELINES = {"black": black, "bicubic 8x8": bicubic, "WebP": webp, "JPEG": jpeg}
