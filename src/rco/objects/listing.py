"""Going through a folder of objects in the order of their keys, past whatever cannot be among those that are asked
for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["walk"]


def walk(folder: Path, prefix: str, after: str, head: str = "") -> Iterator[str]:
    """Keys that begin with ``prefix`` and are greater than ``after``, in the order of their characters. Folders that
    can hold none of these are not looked into, so that a page costs the same wherever it begins."""
    # A folder stands where its name with a slash would.
    entries = sorted((f"{one.name}/" if one.is_dir() else one.name, one) for one in folder.iterdir())
    for name, one in entries:
        key = head + name
        if name.startswith("."):
            continue
        if key > prefix and not key.startswith(prefix):
            return
        if not name.endswith("/"):
            if key > after and key.startswith(prefix):
                yield key
        elif (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key)):
            yield from walk(one, prefix, after, key)
