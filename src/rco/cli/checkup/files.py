"""Files, secrets and the machine's clock."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from rco.cli.checkup.report import Found, fail, ok, unknown, warn
from rco.errors import ConfigInvalid

__all__ = ["clock", "disk", "modes", "secrets"]

_REFERENCE = re.compile(r"(env|file):\S+")
DISK_LOW_BYTES = 1 << 30
DISK_OUT_BYTES = 128 << 20


def modes(data_dir: Path, database: Path | None) -> Iterator[Found]:
    """The files that hold secrets or everything are their owner's alone."""
    for name, path, refused, what in (
        ("admin.token", data_dir / "admin.token", 0o077, "read or write"),
        ("pseudonym.key", data_dir / "pseudonym.key", 0o077, "read or write"),
        ("database", database, 0o077, "read or write"),
        # Others may see which files there are; whoever may write in it may put others in their place.
        ("data folder", data_dir, 0o022, "write in"),
    ):
        if path is None:
            continue
        check = f"mode of {name}"
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            yield unknown(check, f"{path} is not there", "A service makes it at its first start.")
            continue
        if mode & refused:
            yield fail(check, f"{path} has mode {mode:04o}: others may {what} it", f"chmod go= {path}")
        else:
            yield ok(check, f"{mode:04o}")


def disk(folder: Path) -> Iterator[Found]:
    """Room for the database to grow."""
    usage = shutil.disk_usage(folder if folder.exists() else Path())
    said = f"{usage.free >> 20} MiB free of {usage.total >> 20}"
    if usage.free < DISK_OUT_BYTES:
        yield fail("disk", said, "Free some: a full disk stops the service after a minute.")
    elif usage.free < DISK_LOW_BYTES:
        yield warn("disk", said, "Free some before it is needed.")
    else:
        yield ok("disk", said)


def secrets(settings: Any, resolve: Callable[[str], str]) -> Iterator[Found]:
    """Every secret that the configuration names is there. Says which are missing, never what is in them."""
    named = sorted(set(_references(msgspec.to_builtins(settings))))
    missing = []
    for reference in named:
        try:
            resolve(reference)
        except ConfigInvalid as problem:
            missing.append(problem.message)
    if missing:
        yield fail("secrets", "; ".join(missing[:5]), "Set them where the service runs, and run rco doctor there.")
    else:
        yield ok("secrets", f"{len(named)} named, all there")


def _references(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _references(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner, key)
    elif isinstance(value, str) and key in ("ref", "secret") and _REFERENCE.fullmatch(value):
        yield value


def clock(
    markers: tuple[Path, ...] = (Path("/run/systemd/timesync/synchronized"), Path("/run/chrony")),
) -> Iterator[Found]:
    """Whether something keeps this machine's clock right. SQLite has no clock of its own to compare with."""
    if any(marker.exists() for marker in markers):
        yield ok("clock", "kept by a time service of this machine")
    else:
        yield unknown("clock", "no time service shows itself", "In a container the host keeps it: look there.")
