"""Frames of a video file, decoded with PyAV."""

from pathlib import Path

import numpy as np

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


def list_videos(folder: str | Path) -> list[Path]:
    """Video files directly in a folder, sorted by name.

    Raises:
        FileNotFoundError: there is no such folder, or no video in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"No folder '{folder}'.")
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not videos:
        raise FileNotFoundError(f"No videos in '{folder}': expected files ending in {', '.join(VIDEO_SUFFIXES)}.")
    return videos


def read_video(path: str | Path) -> np.ndarray:
    """All frames of a video: (T, H, W, 3) uint8, RGB.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be decoded, ends before the number of frames that it announces, or changes its size.
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No video '{path}'.")
    frames = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"Cannot read '{path.name}': it holds no video stream.")
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            announced = stream.frames
            for frame in container.decode(stream):
                frames.append(frame.to_ndarray(format="rgb24"))
    except av.error.FFmpegError as error:
        raise ValueError(f"Cannot read '{path.name}' after {len(frames)} frames: {error.strerror or error}.") from error
    if not frames or len(frames) < announced:
        raise ValueError(f"'{path.name}' is truncated: it holds {len(frames)} frames and announces {announced}.")
    if len({frame.shape for frame in frames}) > 1:
        raise ValueError(f"'{path.name}' changes its frame size.")
    return np.stack(frames)
