"""What has to be known of a machine to read a figure."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cores", "existing", "file_system", "load"]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def load() -> float:
    """Processes that want a core, averaged over the last minute: above the number of cores, rates are too low."""
    return os.getloadavg()[0]


def file_system(folder: Path) -> str:
    """Kind of the file system under ``folder``. In ``tmpfs`` an fsync costs nothing, and a figure means nothing."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        if folder.resolve().is_relative_to(place) and len(place) >= len(best):
            best, kind = place, found
    return kind


def existing(path: Path) -> Path:
    """The folder of ``path``, or the nearest one above it that is there."""
    folder = path.resolve().parent
    while not folder.is_dir():
        folder = folder.parent
    return folder
