"""Whether a disk has room for what will be written."""

import errno
import os
import shutil
from pathlib import Path

from tqdm import tqdm

MARGIN = 1.05  # of the file system's own needs


def check_disk_space(folder: Path, size: float, purpose: str = "") -> None:
    """Raise an OSError if the disk of `folder`, which need not exist yet, has less than `size` bytes free.

    Args:
        purpose: what needs them, for the message.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < size * MARGIN:
        needed, found = (tqdm.format_sizeof(value, "B") for value in (size * MARGIN, free))
        purpose = purpose and f" for {purpose}"
        raise OSError(f"{os.strerror(errno.ENOSPC)}: {folder} needs {needed}{purpose}, found {found} free")
