"""Looking into encrypted journals, with the keys at hand: written down anew from their documentation.

A namespace's key stands in the export wrapped under a root key, where the export was asked for it; the root keys are in
a keyring that never leaves its place. Needs ``cryptography``, and only where keys are given.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from rco.verify.lines import KeyLine, SegmentLine
from rco.verify.records import split
from rco.verify.sources import Unreadable

__all__ = ["Keys", "NoKey", "read_keyring"]

_MAGIC, _NONCE = b"\xffRC1", 12
_KEY_AT, _SESSION_AT, _NONCE_AT, _COUNT_AT, _HEAD = 4, 20, 36, 48, 52
_BYTES_MAX = 256 * 1024
_NOBODYS = "00" * 16


class NoKey(Exception):
    """It cannot be looked into: the text says why. ``for_good``: nobody ever can."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.why, self.for_good = why, for_good


class _Written(msgspec.Struct):
    kid: str
    secret: str

    def __repr__(self) -> str:
        return f"_Written({self.kid!r})"


class _Ring(msgspec.Struct):
    format: str
    keys: list[_Written]


def read_keyring(reference: str, environ: Mapping[str, str]) -> dict[str, bytes]:
    """Root secrets by name, from ``file:/path`` (for its owner alone) or ``env:NAME``. Raises ``Unreadable``, which
    never repeats what is in there."""
    kind, _, where = reference.partition(":")
    if kind == "env" and where:
        text = environ.get(where, "")
    elif kind == "file" and where:
        text = _owned(Path(where))
    else:
        raise Unreadable("a keyring is given as file:/path or env:NAME, not by itself")
    try:
        ring = msgspec.json.decode(text, type=_Ring)
        if ring.format != "rco-keyring/1":
            raise ValueError
        return {one.kid: bytes.fromhex(one.secret) for one in ring.keys}
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Unreadable(f"{reference} is no keyring (rco-keyring/1)") from None


def _owned(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or mode & 0o077:
                raise Unreadable(f"the keyring {path} is no file for its owner alone: chmod 600 it")
            return file.read(_BYTES_MAX).decode()
    except OSError as error:
        raise Unreadable(f"the keyring {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unreadable(f"the keyring {path} is not text") from None


class Keys:
    """What opens the segments of an export. Without a ``ring`` nothing does, and each is told why."""

    def __init__(self, ring: Mapping[str, bytes] | None) -> None:
        self._ring = ring
        self._lines: dict[str, KeyLine] = {}
        self._opened: dict[str, bytes] = {}
        self._sessions: dict[tuple[str, bytes], Any] = {}

    def take(self, line: KeyLine) -> None:
        """A namespace's key, as the export has it."""
        self._lines[line.key_id] = line

    def records(self, segment: SegmentLine) -> list[list[Any]]:
        """The records of an encrypted segment: kind, key, at_us, fp, body of each.

        Raises ``NoKey`` where it cannot be looked into, ``ValueError`` where it does not open under its key: it was
        changed, or stands where it was not written.
        """
        line = self._lines.get(segment.encrypted)
        if segment.encrypted == _NOBODYS or (line is not None and line.erased):
            raise NoKey("its key was erased", for_good=True)
        if self._ring is None:
            raise NoKey("no key was given (--keyring)")
        if segment.data is None:
            raise NoKey("its bytes are not in the export (rco export --payloads)")
        if line is None:
            raise NoKey("its key is not in the export (rco export --wrapped-keys)")
        return split(self._decrypted(line, segment, segment.data))

    def _decrypted(self, line: KeyLine, segment: SegmentLine, data: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        if len(data) < _HEAD + 16 or not data.startswith(_MAGIC) or data[_KEY_AT:_SESSION_AT].hex() != line.key_id:
            raise ValueError("it is no ciphertext of the key that it names")
        head = data[:_HEAD]
        bound = _parts(
            head,
            line.namespace.encode(),
            b"journal",
            uuid.UUID(segment.run).bytes,
            segment.first_seq.to_bytes(8, "big"),
        )
        try:
            return bytes(
                self._session(line, head[_SESSION_AT:_NONCE_AT]).decrypt(head[_NONCE_AT:_COUNT_AT], data[_HEAD:], bound)
            )
        except InvalidTag:
            raise ValueError(
                "it does not open under its key: it was changed, or stands where it was not written"
            ) from None

    def _session(self, line: KeyLine, session: bytes) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        found = self._sessions.get((line.key_id, session))
        if found is None:
            key = blake3(b"rco payload session v1" + session, key=self._key(line)).digest()
            found = self._sessions[line.key_id, session] = AESGCM(key)
        return found

    def _key(self, line: KeyLine) -> bytes:
        found = self._opened.get(line.key_id)
        if found is None:
            found = self._opened[line.key_id] = self._unwrapped(line)
        return found

    def _unwrapped(self, line: KeyLine) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        assert self._ring is not None
        secret = self._ring.get(line.root_kid)
        if secret is None:
            raise NoKey(f"its root key {line.root_kid!r} is not in the keyring")
        wrap = blake3(secret, derive_key_context="rco 2026-11 namespace key wrap v1").digest()
        bound = _parts(
            b"rco namespace key v1", line.root_kid.encode(), line.namespace.encode(), bytes.fromhex(line.key_id)
        )
        try:
            return bytes(AESGCM(wrap).decrypt(line.wrapped[:_NONCE], line.wrapped[_NONCE:], bound))
        except (InvalidTag, ValueError):
            raise NoKey(f"its key does not open under the root key {line.root_kid!r} of this keyring") from None


def _parts(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
