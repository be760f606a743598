"""Which configuration is read when none is given."""

from __future__ import annotations

from pathlib import Path

__all__ = ["DEFAULT_FILE", "config_file"]

DEFAULT_FILE = Path("rco-config.yaml")


def config_file(given: Path | None) -> Path | None:
    """The file to read: the one given, else ``rco-config.yaml`` here if there is one."""
    if given is not None:
        return given
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
