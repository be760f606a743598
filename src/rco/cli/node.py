"""The note that a running service leaves in its data folder, so that commands on the same machine find it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from rco.errors import StoreError

__all__ = ["NODE_FILE", "Node", "forget_node", "note_node", "read_node"]

NODE_FILE = "node.json"
_BYTES_MAX = 4096


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service runs. Holds no secret."""

    url: str
    metrics_url: str
    pid: int
    version: str


def note_node(data_dir: Path, *, url: str, metrics_url: str, version: str) -> None:
    """Write the note; replaces one that a killed service left. Raises ``StoreError`` when the folder is not ours."""
    node = Node(url=url, metrics_url=metrics_url, pid=os.getpid(), version=version)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = data_dir / f".{NODE_FILE}.{node.pid}"
        beside.write_bytes(msgspec.json.encode(node))
        beside.replace(data_dir / NODE_FILE)
    except OSError as error:
        raise StoreError(f"{data_dir} cannot be written: {error.strerror}.", cure="Check data_dir.") from None


def forget_node(data_dir: Path) -> None:
    """Remove the note if it is this process's own."""
    node = read_node(data_dir)
    if node is not None and node.pid == os.getpid():
        with suppress(OSError):
            (data_dir / NODE_FILE).unlink()


def read_node(data_dir: Path) -> Node | None:
    """The note, or ``None`` when there is none that can be read."""
    try:
        with (data_dir / NODE_FILE).open("rb") as file:
            return msgspec.json.decode(file.read(_BYTES_MAX), type=Node)
    except (OSError, msgspec.DecodeError):
        return None
