"""Which files a configuration is made of, and when any of them has changed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from rco.config import Settings

__all__ = ["Digests", "changes", "digests_of", "files_of"]

Digests = dict[Path, bytes]
"""What stands in each file; empty for one that cannot be read."""


def files_of(config: Path | None, settings: Settings) -> list[Path]:
    """The configuration and the files that its providers' secrets and the listener's certificate stand in."""
    refs = [secret.ref for provider in settings.providers.values() for secret in provider.secrets]
    refs += [
        settings.tls.certificate,
        settings.tls.private_key,
        settings.tls.client_ca,
        settings.tls.client_revocations,
    ]
    secrets = [Path(ref.removeprefix("file:")) for ref in refs if ref.startswith("file:")]
    return [*([] if config is None else [config]), *secrets]


async def changes(files: list[Path], known: Digests) -> AsyncIterator[None]:
    """Once for each change of what stands in ``files``, however they are replaced: folders are watched, as an editor
    renames and a mounted secret is a link that moves. ``known`` is what stood there when they were read, so that what
    changed since then is told too. Ends at once when there is nothing to watch."""
    folders = {folder for file in files if (folder := file.absolute().parent).is_dir()}
    if not folders:
        return
    from watchfiles import awatch

    seen = {**digests_of(files), **{file: known[file] for file in files if file in known}}
    async for _ in awatch(*folders, recursive=False, rust_timeout=1000, yield_on_timeout=True):
        now = digests_of(files)
        if now != seen:
            seen = now
            yield


def digests_of(files: list[Path]) -> Digests:
    """What stands in them now. Take it before they are read."""
    return {file: _digest(file) for file in files}


def _digest(file: Path) -> bytes:
    try:
        return hashlib.blake2b(file.read_bytes()).digest()
    except OSError:
        return b""  # half way through being replaced; what comes next is another change
