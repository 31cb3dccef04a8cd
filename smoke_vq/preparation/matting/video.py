"""Video files, decoded with PyAV."""

from pathlib import Path

import numpy as np

from ...checks import check_installed

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


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


def read_video(path: str | Path) -> np.ndarray:
    """Read all frames of a video, (T, H, W, 3) uint8, RGB.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: PyAV is not installed, the file cannot be decoded, is truncated, or has frames of different sizes.
    """
    check_installed("Reading a video", "rise", av="PyAV")
    import av

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The video '{path}' does not exist.")
    frames = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"Cannot read '{path.name}': it contains no video stream.")
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            expected = stream.frames
            for frame in container.decode(stream):
                frames.append(frame.to_ndarray(format="rgb24"))
    except av.error.FFmpegError as error:
        raise ValueError(f"Cannot read '{path.name}' after {len(frames)} frames: {error.strerror or error}.") from error
    if not frames or len(frames) < expected:
        raise ValueError(f"'{path.name}' is truncated: it contains {len(frames)} of {expected} frames.")
    if len({frame.shape for frame in frames}) > 1:
        raise ValueError(f"'{path.name}' has frames of different sizes.")
    return np.stack(frames)
