"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["whole_file"]


@contextmanager
def whole_file(out: Path) -> Iterator[BinaryIO]:
    """What to write ``out`` to. When the block ends it takes the place of ``out``, on the disk and readable by its
    owner only; after an error nothing of it is there. Raises ``OSError`` that names ``out`` where it cannot be made."""
    try:
        handle, beside = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(out)
    except BaseException:
        with suppress(OSError):
            Path(beside).unlink()
        raise
