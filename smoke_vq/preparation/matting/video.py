"""Video files, decoded with PyAV one frame at a time."""

import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ...checks import check_count, check_installed, check_positive
from ...limits import MAX_CLIP_BYTES, check_image_size

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_CLOCK_ERROR = Fraction(1, 2000)  # seconds: Matroska and WebM round times to milliseconds


@dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself.

    width, height: pixels of a frame as it is shown, after rotation.
    fps: frames per second, on average, or None if the file does not say.
    num_frames: number of frames, or None if the file does not say. A video that was trimmed without encoding it anew
        says how many frames are stored, which can be more than are shown.
    duration: seconds, or None if the file does not say.
    """

    width: int
    height: int
    fps: float | None
    num_frames: int | None
    duration: float | None


def list_videos(folder: str | Path) -> list[Path]:
    """List the video files of a folder (without subfolders), sorted by name.

    Raises:
        FileNotFoundError: the folder does not exist or contains no video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"The folder '{folder}' does not exist.")
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not videos:
        raise FileNotFoundError(
            f"The folder '{folder}' contains no videos: expected files ending in {', '.join(VIDEO_SUFFIXES)}."
        )
    return videos


def video_info(path: str | Path) -> VideoInfo:
    """Read size, frame rate and length of a video; only its first frame is decoded.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: PyAV is not installed, or the file cannot be decoded or has no frame.
    """
    path = _checked_file(path)
    with _open(path) as (container, stream):
        frame = next(container.decode(stream), None)
        if frame is None:
            raise ValueError(f"Cannot read '{path.name}': it contains no frame.")
        height, width = _orientation(frame)(np.empty((frame.height, frame.width))).shape
        rate = stream.average_rate or stream.guessed_rate
        if stream.duration is not None:
            duration = float(stream.duration * stream.time_base)
        else:
            duration = container.duration / 1e6 if container.duration else None  # microseconds
        return VideoInfo(width, height, float(rate) if rate else None, stream.frames or None, duration)


def iter_frames(
    path: str | Path, size: int | None = None, fps: float | None = None, max_frames: int | None = None
) -> Iterator[np.ndarray]:
    """Decode a video one frame at a time, in memory that does not grow with its length.

    Frames are turned and mirrored as the file says, in quarter turns, as phones record them.

    Args:
        size: the shorter side in pixels. Larger frames are averaged to it while they are decoded, with their aspect
            ratio; smaller frames remain as they are.
        fps: frames per second. Frame k is the one that is shown k / fps seconds after the first; frames are left out or
            repeated. Default: each frame once.
        max_frames: stop after this many frames.

    Returns:
        An iterator over frames (H, W, 3) uint8, RGB.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: an argument is invalid, or PyAV is not installed; while iterating: the file cannot be decoded, is
            truncated, or has frames of different sizes.
    """
    if size is not None:
        check_count("size", size)
    if fps is not None:
        check_positive("fps", fps)
    if max_frames is not None:
        check_count("max_frames", max_frames)
    return islice(_iter_frames(_checked_file(path), size, fps), max_frames)


def read_video(
    path: str | Path, size: int | None = None, fps: float | None = None, max_frames: int | None = None
) -> np.ndarray:
    """Read a video into memory, (T, H, W, 3) uint8, RGB. Arguments and errors are those of `iter_frames`.

    Raises:
        ValueError: the frames take more than `MAX_CLIP_BYTES`.
    """
    frames: list[np.ndarray] = []
    for frame in iter_frames(path, size, fps, max_frames):
        frames.append(frame)
        if len(frames) * frame.nbytes > MAX_CLIP_BYTES:
            raise ValueError(
                f"'{Path(path).name}' takes more than {MAX_CLIP_BYTES:,} bytes of memory, from frame {len(frames)} on: "
                f"read fewer or smaller frames."
            )
    return np.stack(frames)


def _checked_file(path: str | Path) -> Path:
    check_installed("Reading a video", "rise", av="PyAV")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The video '{path}' does not exist.")
    return path


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; errors of FFmpeg become a ValueError that names the file."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"Cannot read '{path.name}': it contains no video stream.")
            stream = container.streams.video[0]
            check_image_size(stream.width or 0, stream.height or 0, f"A frame of '{path.name}'")
            stream.thread_type = "NONE"
            yield container, stream
    except av.error.FFmpegError as error:
        raise ValueError(f"Cannot read '{path.name}': {error.strerror or error}.") from error


def _iter_frames(path: Path, size: int | None, fps: float | None) -> Iterator[np.ndarray]:
    with _open(path) as (container, stream):
        frames = _check_frames(container, stream, path.name)
        convert = _converter(size)
        yield from map(convert, frames if fps is None else _resample(container, stream, frames, Fraction(fps)))


def _check_frames(container: Any, stream: Any, name: str) -> Iterator[Any]:
    """The frames of a stream; at its end, raise an error if some are missing."""
    import av

    count, sizes, end = 0, set(), None
    try:
        for frame in container.decode(stream):
            sizes.add((frame.width, frame.height))
            if len(sizes) > 1:
                raise ValueError(f"'{name}' has frames of different sizes.")
            if frame.pts is not None:
                end = max(frame.pts, end or frame.pts)
            yield frame
            count += 1
    except av.error.FFmpegError as error:
        raise ValueError(f"Cannot read '{name}' after {count} frames: {error.strerror or error}.") from error
    if count == 0 or (count < stream.frames and not _reaches_end(container, stream, end)):
        raise ValueError(f"'{name}' is truncated: it contains {count} of {stream.frames} frames.")


def _reaches_end(container: Any, stream: Any, last: int | None) -> bool:
    """Whether the last frame, whose time stamp is `last`, ends with the stream.

    An mp4 or mov that was trimmed without encoding it anew stores more frames than are shown, for its full duration.
    """
    if "mp4" not in container.format.name or last is None or stream.duration is None or not stream.average_rate:
        return False
    missing = ((stream.start_time or 0) + stream.duration - last) * stream.time_base * stream.average_rate
    return missing < Fraction(3, 2)  # in frames; the last frame itself is 1


def _resample(container: Any, stream: Any, frames: Iterator[Any], fps: Fraction) -> Iterator[Any]:
    """For k = 0, 1, ...: the frame that is shown k / fps seconds after the first, until the last frame ends."""
    rate = stream.average_rate or stream.guessed_rate
    period = 1 / Fraction(rate) if rate else Fraction(0)
    # AVI stores frames at a constant rate, in the order of decoding and without the times at which they are shown.
    is_timed = container.format.name != "avi"
    shown, start, time, count = None, None, Fraction(0), 0
    for frame in frames:
        if shown is not None:
            time += period
        if is_timed and frame.pts is not None:
            time = frame.pts * frame.time_base
        start = time if start is None else start
        while shown is not None and count / fps < time - start - _CLOCK_ERROR:
            yield shown
            count += 1
        shown = frame
    duration = shown.duration * shown.time_base if is_timed and shown.duration else period
    while count == 0 or count / fps < time - start + duration - _CLOCK_ERROR:
        yield shown
        count += 1


def _converter(size: int | None) -> Callable[[Any], np.ndarray]:
    """A function from frames of PyAV to upright RGB arrays, averaged to `size`."""
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # keeps the tables of the conversion for all frames
    orient = None

    def convert(frame: Any) -> np.ndarray:
        nonlocal orient
        # Only of the first frame: a frame whose side data were read is in a reference cycle and stays in memory.
        orient = orient or _orientation(frame)
        side = min(frame.width, frame.height)
        options = {}
        if size is not None and size < side:
            width, height = (max(round(length * size / side), 1) for length in (frame.width, frame.height))
            options = dict(width=width, height=height, interpolation="AREA")
        rgb = reformatter.reformat(frame, format="rgb24", **options).to_ndarray()
        return np.ascontiguousarray(orient(rgb))

    return convert


def _orientation(frame: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A function that turns and mirrors the array (H, W, ...) of a frame as its display matrix says.

    The matrix maps the pixel (x, y) to (a x + c y, b x + d y). Of other angles than quarter turns, the nearest is used.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return lambda image: image
    a, b, _, c, d = struct.unpack("=9i", bytes(data))[:5]
    turned = math.hypot(b, c) > math.hypot(a, d)
    right, down = (c, b) if turned else (a, d)

    def orient(image: np.ndarray) -> np.ndarray:
        image = image.swapaxes(0, 1) if turned else image
        return image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]

    return orient
