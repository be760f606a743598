"""What processes have used, read from /proc."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Meter", "cpu_s", "percentile", "resident_mib", "tree", "tree_cpu_s", "tree_written_bytes"]

_TICKS = os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], per_cent: float) -> float:
    """The nearest-rank percentile of ``values``, which need not be sorted. Raises ``ValueError`` for none."""
    if not values:
        raise ValueError("no values: nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * per_cent / 100) - 1)]


def cpu_s(pid: int) -> float:
    """CPU seconds that the process has used, user and system, all its threads. Resolution: 10 ms."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    """Resident memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(f"process {pid} has no memory: it has ended")


def tree(pid: int) -> list[int]:
    """The process and all that descend from it and live."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except (OSError, IndexError):
                continue
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of the process and of all it started, those that have ended included."""
    ticks = 0
    for one in tree(pid):
        try:
            # What an ended child used is its parent's from then on.
            ticks += sum(int(field) for field in _stat(one)[11:15])
        except OSError:
            continue
    return ticks / _TICKS


def tree_written_bytes(pid: int) -> int:
    """Bytes that the process and its descendants have given to write calls: files, and pipes, but not what PostgreSQL
    sends over its sockets. (``write_bytes`` of the kernel counts whole folios of the page cache, a hundred times this.)
    """
    written = 0
    for one in tree(pid):
        try:
            lines = Path(f"/proc/{one}/io").read_text().splitlines()
        except OSError:
            continue
        written += next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))
    return written


class Meter:
    """What this process and a database server beside it use. ``server_pid`` is that of the server's first process, 0
    for none: then only this process counts."""

    def __init__(self, server_pid: int = 0) -> None:
        self.server_pid = server_pid

    def cpu_s(self) -> float:
        return time.process_time() + (tree_cpu_s(self.server_pid) if self.server_pid else 0.0)

    def written_bytes(self) -> int:
        """Bytes written to files by whoever has the database's files open: the server, or this process."""
        return tree_written_bytes(self.server_pid or os.getpid())


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/pid/stat`` behind the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
