"""Films of pictures: MP4 written frame by frame, GIF and WebP."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from .checks import check_installed
from .preparation.folder import open_atomically
from .registry import choose

FILM_FORMATS = {".mp4": "H.264", ".gif": "GIF", ".webp": "WebP"}


def check_film_format(path: Path) -> None:
    """Refuse a file name whose format cannot be written.

    Raises:
        ValueError: another ending than those in `FILM_FORMATS`, or an mp4 without PyAV.
    """
    if choose(FILM_FORMATS, path.suffix.lower(), "film format") == "H.264":
        check_installed("A film as mp4 (unlike .webp)", "rise", av="PyAV")


class FilmWriter:
    """Writes pictures of one size to a file. MP4 takes constant memory; GIF and WebP keep all pictures until the end.

    Args:
        file: open for writing in binary mode; MP4 needs `seek`.
        suffix: ".mp4", ".gif" or ".webp". The last row and column of a picture with an odd size are left out of an MP4.
        fps: frames per second.
    """

    def __init__(self, file: BinaryIO, suffix: str, fps: float):
        self._file, self._suffix, self._fps = file, suffix, fps
        self._pictures: list[Image.Image] = []
        self._container = self._stream = None
        if choose(FILM_FORMATS, suffix, "film format") == "H.264":
            import av

            self._container = av.open(file, "w", format="mp4")

    def add(self, picture: Image.Image) -> None:
        if self._container is None:
            self._pictures.append(picture)
            return
        import av

        if self._stream is None:
            rate = Fraction(self._fps).limit_denominator(1001)
            self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": "16"})
            # The chroma of this pixel format has half the resolution.
            self._stream.width, self._stream.height = (size - size % 2 for size in picture.size)
            self._stream.pix_fmt = "yuv420p"
        pixels = np.ascontiguousarray(np.asarray(picture)[: self._stream.height, : self._stream.width])
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def close(self) -> None:
        """Write what is left; GIF and WebP run as a loop."""
        if self._container is not None:
            if self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
        elif self._pictures:
            first, *others = self._pictures
            options = dict(save_all=True, append_images=others, duration=round(1000 / self._fps), loop=0)
            quality = {"quality": 80} if self._suffix == ".webp" else {}
            first.save(self._file, format=self._suffix[1:].upper(), **options, **quality)


def film_bytes(film: list[Image.Image], suffix: str, fps: float) -> bytes:
    """The content of a film's file."""
    buffer = io.BytesIO()
    writer = FilmWriter(buffer, suffix, fps)
    for picture in film:
        writer.add(picture)
    writer.close()
    return buffer.getvalue()


@contextmanager
def film_file(path: str | os.PathLike, fps: float) -> Iterator[FilmWriter]:
    """A `FilmWriter` for `path`, which is complete at the end of the block, or was not written if an error left it."""
    with open_atomically(Path(path)) as file:
        writer = FilmWriter(file, Path(path).suffix.lower(), fps)
        try:
            yield writer
        finally:
            writer.close()
