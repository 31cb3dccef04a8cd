"""Image codecs and thumbnails at several sizes, to compare codes with."""

import contextlib
import io
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..pixels import clamp, to_images, to_pixel_values
from .reconstruction import Reconstruction

_WEBP_HEADER = 20  # RIFF, its length, WEBP, and the name and length of the only chunk
_THUMBNAILS = (4, 5, 6, 8, 10, 12, 16)


def thumbnail(target: torch.Tensor, size: int) -> Reconstruction:
    """Area-averaged to size x size, upsampled bicubically, with 8 bits for each value of a channel."""
    small = F.interpolate(target, (size, size), mode="area")
    sample = clamp(F.interpolate(small, target.shape[2:], mode="bicubic", align_corners=False))
    return Reconstruction(sample, torch.full((len(target),), float(small[0].numel()), device=target.device))


def webp(target: torch.Tensor, quality: int = 0) -> Reconstruction:
    """Lossy WebP with the slowest method, which gives the smallest files."""
    return _coded(target, lambda data: len(data) - _WEBP_HEADER, format="WEBP", quality=quality, method=6)


def jpeg(target: torch.Tensor, quality: int = 1, optimize: bool = True) -> Reconstruction:
    """Baseline JPEG with chroma at half size. Huffman tables, of this frame with `optimize`, count as headers."""
    return _coded(target, _scan_length, format="JPEG", quality=quality, subsampling="4:2:0", optimize=optimize)


def avif(target: torch.Tensor, quality: int = 0) -> Reconstruction:
    """AVIF with chroma at half size; everything but the coded picture counts as headers."""
    return _coded(target, _mdat_length, format="AVIF", quality=quality, subsampling="4:2:0")


def jpeg_xl(target: torch.Tensor, quality: int = 0) -> Reconstruction:
    """JPEG XL as a bare codestream, without a container; its few bytes of header are not taken off."""
    return _coded(target, len, format="JXL", quality=quality)


def rate_distortion_curves() -> dict[str, dict[str, Callable[[torch.Tensor], Reconstruction]]]:
    """Thumbnails, and the codecs that the installed Pillow can write: functions by name and then by setting.

    Pillow writes JPEG XL with the package pillow-jxl-plugin.
    """
    with contextlib.suppress(ImportError):
        import pillow_jxl  # noqa: F401  (adds JXL to Pillow)
    Image.init()
    codecs = {
        "WebP": ("WEBP", webp, (0, 5, 10, 20, 40, 60)),
        "AVIF": ("AVIF", avif, (0, 5, 10, 20, 30, 40, 50)),
        "JPEG XL": ("JXL", jpeg_xl, (0, 5, 10, 20, 30, 50)),
        "JPEG": ("JPEG", partial(jpeg, optimize=False), (1, 10, 20, 40)),
    }
    curves = {"thumbnail": {f"{size}x{size}": partial(thumbnail, size=size) for size in _THUMBNAILS}}
    for name, (format_name, function, qualities) in codecs.items():
        if format_name in Image.SAVE:
            curves[name] = {f"quality {quality}": partial(function, quality=quality) for quality in qualities}
    return curves


def _coded(target: torch.Tensor, payload: Callable[[bytes], int], **options) -> Reconstruction:
    """Write frames as files in memory and read them back."""
    frames = to_images(target).cpu().numpy()
    files = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, **options)
        files.append(file)
    read = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    sample = to_pixel_values(torch.from_numpy(read).to(target.device), grey=target.shape[1] == 1).to(target.dtype)
    sample = sample.contiguous(memory_format=torch.channels_last)  # as decoded; the last bits of a network depend on it
    sizes = [(len(file.getvalue()), payload(file.getvalue())) for file in files]
    return Reconstruction(sample, *torch.tensor(sizes, dtype=torch.float32, device=target.device).unbind(dim=1))


def _scan_length(data: bytes) -> int:
    """Bytes of a JPEG between the header of its only scan and the end marker."""
    start = data.index(b"\xff\xda") + 2
    return len(data) - 2 - start - int.from_bytes(data[start : start + 2], "big")


def _mdat_length(data: bytes) -> int:
    """Bytes in the box of media data of an AVIF file (ISO/IEC 14496-12: length, name, content)."""
    start = 0
    while data[start + 4 : start + 8] != b"mdat":
        start += int.from_bytes(data[start : start + 4], "big")
    return int.from_bytes(data[start : start + 4], "big") - 8
