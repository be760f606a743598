"""Secrets by reference: ``env:NAME`` and ``file:/path``. Poured into egress and the bridge as a function."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rco.config.bind import REFERENCE
from rco.errors import ConfigInvalid
from rco.kit.ids import Ids

__all__ = ["SECRET_BYTES_MAX", "Secrets", "kept_key"]

SECRET_BYTES_MAX = 64 * 1024


class Secrets:
    """Resolves references against one environment and the file system.

    A file is read again when it changed (a mounted secret that is rotated), so a caller asks at the time of use and
    keeps nothing. Raises ``ConfigInvalid`` that names the reference, never what is behind it.
    """

    __slots__ = ("_environ", "_files")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._files: dict[str, tuple[tuple[int, int, int], str]] = {}

    def __call__(self, reference: str) -> str:
        """The secret behind ``reference``, without the newline at its end. Never empty."""
        if not REFERENCE.fullmatch(reference):
            raise ConfigInvalid("this is not a reference to a secret", cure="Write env:NAME or file:/path.")
        kind, _, where = reference.partition(":")
        found = self._environ.get(where, "") if kind == "env" else self._file(reference, where)
        if not found:
            cure = f"Set the variable {where}." if kind == "env" else "Write the secret into the file."
            raise ConfigInvalid(f"the secret {reference} is empty or absent", cure=cure)
        return found

    def forget(self) -> None:
        """Keep nothing of what was read from files; it is read again when it is asked for."""
        self._files.clear()

    def opened(self, text: str) -> str:
        """What ``text`` refers to when it is a reference, else ``text`` itself."""
        return self(text) if text.startswith(("env:", "file:/")) else text

    def _file(self, reference: str, path: str) -> str:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                seen = os.fstat(handle)
                if not stat.S_ISREG(seen.st_mode) or seen.st_size > SECRET_BYTES_MAX:
                    raise ConfigInvalid(
                        f"the secret {reference} is not a file of at most {SECRET_BYTES_MAX} bytes",
                        cure="Name the file that holds the secret and nothing else.",
                    )
                mark = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
                held = self._files.get(path)
                if held is not None and held[0] == mark:
                    return held[1]
                text = os.read(handle, SECRET_BYTES_MAX).decode("utf-8").rstrip("\r\n")
            finally:
                os.close(handle)
        except OSError as error:
            raise ConfigInvalid(
                f"the secret {reference} cannot be read: {error.strerror}", cure="Check the path and its mode."
            ) from None
        except UnicodeDecodeError:
            raise ConfigInvalid(
                f"the secret {reference} is not UTF-8 text", cure="Encode it, e.g. as base64."
            ) from None
        self._files[path] = (mark, text)
        return text


def kept_key(path: Path, ids: Ids) -> bytes:
    """32 random bytes that outlive the process, readable by its owner alone.

    The file appears with its content or not at all: one that a crash left empty would stop every later start.
    """
    if not path.exists():
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(ids.token(32) + "\n")
            file.flush()
            os.fsync(handle)
        try:
            # A link, not a rename: of two that begin together, the first one's key is everybody's.
            with suppress(FileExistsError):
                os.link(beside, path)
        finally:
            beside.unlink()
    return bytes.fromhex(path.read_text().strip())
