"""Observed frames, in any supported form, as `pixel_values`."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from PIL import Image

from ..limits import MAX_CLIP_BYTES, read_picture
from ..pixels import check_range
from ..preparation.matting.cut_out import working_size
from ..preparation.matting.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, iter_frames, read_video, video_info

if TYPE_CHECKING:
    from .processor import SmokeImageProcessor

_DEFAULT_FPS = 12.0


def read_clip(path: str | os.PathLike, size: int | None = None, fps: float | None = None) -> np.ndarray:
    """Read the frames of a video, of a folder of images (sorted by name), or of a NumPy file: (T, H, W, 3) uint8.

    An npz file holds the frames as `frames`, or a single array.

    Args:
        size, fps: of a video: the shorter side to which larger frames are averaged while they are decoded, and the
            frames per second that are taken, as in `iter_frames`.

    Raises:
        OSError: the file or folder does not exist.
        ValueError: it holds no frames, frames of different sizes or of another type, or is damaged; `fps` of a clip
            that is not a video.
    """
    path = Path(path)
    if fps is not None and path.suffix.lower() not in VIDEO_SUFFIXES:
        raise ValueError(f"The clip '{path}' has no frame rate: fps is for videos ({', '.join(VIDEO_SUFFIXES)}).")
    if path.is_dir():
        return _read_images(path)
    if not path.is_file():
        raise FileNotFoundError(f"The clip '{path}' does not exist.")
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return _read_numpy(path)
    if suffix not in VIDEO_SUFFIXES:
        known = ", ".join((*VIDEO_SUFFIXES, ".npz", ".npy"))
        raise ValueError(f"The clip '{path}' ends in {suffix!r}: expected a folder of images, or one of {known}.")
    return read_video(path, size, fps)


def open_clip(
    path: Path, size: int, fps: float | None = None, max_frames: int | None = None
) -> tuple[Iterator[np.ndarray], float, int | None]:
    """Open a video of any length, an image, a folder of images, or a NumPy file.

    Args:
        size: of the frames that a model takes; frames of a video are reduced while they are decoded, but not below it.
        fps: frames per second that are taken of a video, as in `iter_frames`.

    Returns:
        The frames (H, W, 3) uint8, frames per second (12 if neither `fps` nor the file says), and the number of frames
        if it is known.

    Raises:
        OSError, ValueError: as `read_clip` and `iter_frames`.
    """
    total = None
    if path.suffix.lower() in VIDEO_SUFFIXES:
        info = video_info(path)
        length = info.duration and round(info.duration * fps) if fps else info.num_frames
        total = min(filter(None, (length, max_frames)), default=None)
        return iter_frames(path, working_size(size), fps, max_frames), fps or info.fps or _DEFAULT_FPS, total
    frames = _open_image(path)[None] if path.suffix.lower() in IMAGE_SUFFIXES else read_clip(path)
    return iter(frames[:max_frames]), fps or _DEFAULT_FPS, len(frames[:max_frames])


def clip_values(frames: Any, processor: "SmokeImageProcessor", resize: bool = False) -> tuple[torch.Tensor, bool]:
    """Return one clip or a batch of clips as `pixel_values` (B, P, 3, S, S), and whether it is a batch.

    Args:
        frames: (P, H, W, 3) uint8, a list of P images, the path of a clip, or pixel_values (P, 3, H, W) in [-1, 1];
            or a batch: with one more axis, or a list of clips.
        processor: knows S.
        resize: resize frames of another size instead of refusing them.

    Raises:
        OSError, ValueError: as `read_clip`; another type, shape, range or size.
    """
    if isinstance(frames, str | os.PathLike):
        frames = read_clip(frames)
    if isinstance(frames, list | tuple):
        if not frames:
            raise ValueError("Expected observed frames, found an empty list.")
        if not all(isinstance(frame, Image.Image) or getattr(frame, "ndim", None) == 3 for frame in frames):
            clips = [clip_values(clip, processor, resize) for clip in frames]
            if any(batched for _, batched in clips):
                raise ValueError("Expected a clip or a list of clips, found lists in more than two levels.")
            if len({len(clip[0]) for clip, _ in clips}) > 1:
                lengths = sorted({len(clip[0]) for clip, _ in clips})
                raise ValueError(f"Expected clips with equal numbers of frames, found {lengths}.")
            return torch.cat([clip for clip, _ in clips]), True
        frames = _stack(frames)
    if not isinstance(frames, np.ndarray | torch.Tensor):
        raise ValueError(f"Expected an array, a list of images, or the path of a clip, found {type(frames).__name__}.")
    frames = torch.as_tensor(frames)
    is_uint8, size = frames.dtype == torch.uint8, processor.height
    channels = -1 if is_uint8 else -3
    if not (is_uint8 or frames.is_floating_point()) or frames.ndim not in (4, 5) or frames.shape[channels] != 3:
        raise ValueError(
            f"Expected frames (P, H, W, 3) uint8 or pixel_values (P, 3, H, W), or a batch of them, found "
            f"{str(frames.dtype).removeprefix('torch.')} of shape {tuple(frames.shape)}."
        )
    if frames.numel() == 0:
        raise ValueError(f"Expected observed frames, found none: an array of shape {tuple(frames.shape)}.")
    batched = frames.ndim == 5
    frames = frames if batched else frames[None]
    height, width = frames.shape[2:4] if is_uint8 else frames.shape[3:]
    if not (resize and is_uint8):
        advice = "resize=True resizes them" if is_uint8 else "only uint8 frames are resized"
        check_frame_size(height, width, size, advice)
    if is_uint8:
        processor = type(processor)(processor.size, resize, processor.num_channels)
        values = processor(frames.flatten(0, 1).cpu()).pixel_values
        return values.unflatten(0, frames.shape[:2]), batched
    check_range(frames)
    return frames.float(), batched


def check_frame_size(height: int, width: int, size: int, advice: str) -> None:
    """Raise a ValueError, which ends with `advice`, unless frames are as high and wide as `size`."""
    if (height, width) != (size, size):
        raise ValueError(f"Expected frames of {size}x{size}, found {width}x{height}: {advice}.")


def _stack(frames) -> np.ndarray | torch.Tensor:
    """Frames of one clip as one array."""
    other = next((frame.mode for frame in frames if isinstance(frame, Image.Image) and frame.mode != "RGB"), None)
    if other is not None:
        raise ValueError(f"Expected RGB images, found one of mode {other}.")
    if all(isinstance(frame, torch.Tensor) for frame in frames):
        frames, stack = list(frames), torch.stack
    else:
        frames, stack = [np.asarray(frame) for frame in frames], np.stack
    if len({tuple(frame.shape) for frame in frames}) > 1:
        raise ValueError(f"Expected frames of one size, found {sorted({tuple(frame.shape) for frame in frames})}.")
    return stack(frames)


def _read_images(folder: Path) -> np.ndarray:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"The folder '{folder}' contains no images ({', '.join(IMAGE_SUFFIXES)}).")
    images, size = [], 0
    for path in paths:
        images.append(_open_image(path))
        size += images[-1].nbytes
        if size > MAX_CLIP_BYTES:
            raise ValueError(f"The images in '{folder}' take more than {MAX_CLIP_BYTES:,} bytes of memory.")
    return _stack(images)


def _open_image(path: Path) -> np.ndarray:
    return np.asarray(read_picture(path, f"'{path}'").convert("RGB"))


def _check_array(file: BinaryIO) -> None:
    """Refuse an array that would take more memory than a clip may, from its header; the file is then at its start."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if math.prod(shape) * dtype.itemsize > MAX_CLIP_BYTES:
        raise ValueError(f"an array of shape {shape} takes more than {MAX_CLIP_BYTES:,} bytes")
    file.seek(0)


def _read_numpy(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) if path.suffix == ".npz" else open(path, "rb") as file:
            if path.suffix != ".npz":
                _check_array(file)
                frames = np.load(file, allow_pickle=False)
            elif "frames" in file or len(file) == 1:
                name = "frames" if "frames" in file else file.files[0]
                stored = name if name in file.zip.namelist() else f"{name}.npy"
                with file.zip.open(stored) as array:
                    _check_array(array)
                frames = file[name]
            else:
                raise ValueError(f"expected an array 'frames', found {sorted(file)}")
    except Exception as error:  # a damaged file raises errors of zipfile, zlib and NumPy
        raise ValueError(f"Cannot read '{path}': {error}.") from error
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or len(frames) == 0:
        raise ValueError(f"'{path}' holds {frames.dtype} of shape {frames.shape}: expected frames (T, H, W, 3) uint8.")
    return frames
