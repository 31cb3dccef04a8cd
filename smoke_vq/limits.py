"""Reading files of others: limits that are checked before a file is parsed, decoded or given memory."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

MAX_TEXT_BYTES = 8 * 2**20  # of a configuration, an index or a table of figures
MAX_HEADER_BYTES = 10 * 2**20  # of a safetensors file; that of 10,000 weights has about 1 MB
MAX_WEIGHTS_FILES = 1000  # of a sharded model
MAX_DOWNLOAD_BYTES = 64 * 2**30  # of the files of a model; those of this library have up to some GB
MAX_IMAGE_PIXELS = 89_478_485  # of an image or a frame of a video: where Pillow begins to warn
MAX_CLIP_BYTES = 4 * 2**30  # of a clip that is read into memory as a whole
# What Pillow raises for files that are no images, truncated or damaged, and for decompression bombs.
PICTURE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def read_text(path: Path, what: str) -> str:
    """The text of a file in UTF-8.

    Args:
        what: begins the error messages, such as "The config.json of user/model".

    Raises:
        ValueError: not a regular file, larger than `MAX_TEXT_BYTES`, or not UTF-8.
    """
    if not path.is_file():  # a device or a pipe may have no end
        raise ValueError(f"{what} is not a file.")
    if (size := path.stat().st_size) > MAX_TEXT_BYTES:
        raise ValueError(f"{what} has {size:,} bytes: expected at most {MAX_TEXT_BYTES:,}.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not text in UTF-8: {error}.") from error


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file; arguments as for `read_text`.

    Raises:
        ValueError: as `read_text`; not valid JSON, or nested too deep.
    """
    text = read_text(path, what)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deep.") from error
    except ValueError as error:
        raise ValueError(f"{what} is not valid JSON: {error}.") from error


def read_yaml(path: Path, what: str) -> Any:
    """The content of a YAML file; arguments as for `read_text`.

    Raises:
        ValueError: as `read_text`; not valid YAML, or nested too deep.
    """
    import yaml

    text = read_text(path, what)
    try:
        return yaml.safe_load(text)
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deep.") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: such as a date that does not exist
        raise ValueError(f"{what} is not valid YAML: {' '.join(str(error).split())}.") from error


def check_safetensors(path: Path) -> None:
    """Refuse a safetensors file with a header that is larger than the limit or than the file.

    Raises:
        ValueError: says how large both are.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
        raise ValueError(
            f"its header has {length:,} bytes, but the file has {size:,} and a header at most {MAX_HEADER_BYTES:,}."
        )


def check_image_size(width: int, height: int, what: str) -> None:
    """Refuse an image or a frame of more than `MAX_IMAGE_PIXELS`, such as a decompression bomb.

    Raises:
        ValueError: begins with `what`.
    """
    if width * height > MAX_IMAGE_PIXELS:
        raise ValueError(f"{what} has {width}x{height} pixels: expected at most {MAX_IMAGE_PIXELS:,}.")


def read_picture(source: Path | BinaryIO, what: str) -> Image.Image:
    """Decode an image file, whose size is checked before.

    Args:
        what: begins the error message, such as the quoted path.

    Raises:
        ValueError: not an image, damaged, or too large.
    """
    try:
        with Image.open(source) as image:
            check_image_size(image.width, image.height, what)
            image.load()
            return image.copy()
    except PICTURE_ERRORS as error:
        if str(error).startswith(what):
            raise
        raise ValueError(f"{what} is not an image, or is damaged: {error}.") from error
