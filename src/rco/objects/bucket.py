"""Objects in a bucket that speaks S3's protocol: the one door to obstore.

An upload of unknown length would have to be held in memory in parts of 5 MiB, so what comes in is written to a nameless
file of this machine first and sent from there when it is whole. Versions that a bucket keeps are the bucket's own
affair: let a lifecycle rule end them, and uploads that were cut off as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from rco.errors import ConfigInvalid, StoreError
from rco.objects.contract import CHUNK_BYTES, Found, Seen, Spool, check_key
from rco.objects.files import write_all
from rco.objects.spool import FileSpool

__all__ = ["BucketObjects"]

_PART_BYTES = 5 << 20
_LIST_PAGE = 1000
_TOGETHER = 16
"""Small objects that are sent at the same time."""
_TIMEOUT_S = 30
_RETRIES = 3


class BucketObjects:
    """Implements ``rco.objects.contract.Objects``."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        spool: Path,
        endpoint: str,
        region: str,
        access_key_id: str,
        secret_access_key: str,
        plain_http: bool,
    ) -> None:
        """Without keys the ones of the surroundings are used (environment, instance, web identity)."""
        self.place = f"s3://{bucket}/{prefix}".rstrip("/")
        self._spool = spool
        config: dict[str, Any] = {"region": region, "virtual_hosted_style_request": not endpoint}
        if endpoint:
            config["endpoint"] = endpoint
        if access_key_id:
            config |= {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        try:
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                config=config,  # type: ignore[arg-type]
                client_options={"allow_http": plain_http, "timeout": timedelta(seconds=_TIMEOUT_S)},
                retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_TIMEOUT_S)},
            )
        except BaseError as error:
            raise ConfigInvalid(f"{self.place} cannot be used: {type(error).__name__}", key="objects.place") from None

    async def start(self) -> None:
        """Asks the bucket one question, so that a wrong key is known now."""
        await asyncio.to_thread(self._spool.mkdir, 0o700, parents=True, exist_ok=True)
        await self.listed("", "", 1)

    async def stop(self) -> None:
        """Nothing is held open."""

    async def begin(self) -> _Intake:
        return _Intake(self, await asyncio.to_thread(_nameless, self._spool))

    async def put(self, key: str, data: bytes) -> None:
        check_key(key)
        with _told(self.place):
            await obstore.put_async(self._store, key, data, chunk_size=_PART_BYTES, max_concurrency=2)

    async def put_all(self, objects: list[tuple[str, bytes]]) -> None:
        for at in range(0, len(objects), _TOGETHER):
            await asyncio.gather(*(self.put(key, data) for key, data in objects[at : at + _TOGETHER]))

    async def spool(self) -> Spool:
        return await FileSpool.begin(self._spool, self.place)

    async def send(self, key: str, file: IO[bytes]) -> None:
        """Put the whole of ``file``."""
        check_key(key)
        file.seek(0)
        with _told(self.place):
            await obstore.put_async(self._store, key, file, chunk_size=_PART_BYTES, max_concurrency=2)

    async def seen(self, key: str) -> Seen | None:
        check_key(key)
        with _told(self.place):
            try:
                return _seen(await obstore.head_async(self._store, key))
            except FileNotFoundError:
                return None

    async def open(self, key: str) -> Found | None:
        check_key(key)
        with _told(self.place):
            try:
                found = await obstore.get_async(self._store, key)
            except FileNotFoundError:
                return None
        seen, pieces = _seen(found.meta), self._pieces(found)
        first = await anext(pieces, b"")
        if len(first) < seen.size_bytes:
            return Found(seen, first, pieces)
        await pieces.aclose()
        return Found(seen, first)

    async def _pieces(self, found: Any) -> AsyncGenerator[bytes]:
        held = bytearray()
        with _told(self.place):
            async for piece in found.stream(min_chunk_size=CHUNK_BYTES):
                held += piece
                while len(held) >= CHUNK_BYTES:
                    yield bytes(held[:CHUNK_BYTES])
                    del held[:CHUNK_BYTES]
            if held:
                yield bytes(held)

    async def delete(self, key: str) -> bool:
        if await self.seen(key) is None:
            return False
        with _told(self.place):
            await obstore.delete_async(self._store, key)
        return True

    async def collect(self) -> int:
        """What comes in has no name before it is whole, so nothing is left of it."""
        return 0

    async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        # A prefix of obstore ends where a word ends; what stands behind the last slash is compared here.
        folder = prefix.rpartition("/")[0]
        found: list[Seen] = []
        with _told(self.place):
            pages = obstore.list(self._store, folder or None, offset=after or None, chunk_size=min(_LIST_PAGE, limit))
            async for page in pages:
                found += [seen for seen in map(_seen, page) if seen.key.startswith(prefix)]
                if len(found) >= limit:
                    break
        return sorted(found, key=lambda seen: seen.key)[:limit]


class _Intake:
    __slots__ = ("_file", "_keeper")

    def __init__(self, keeper: BucketObjects, file: IO[bytes]) -> None:
        self._keeper, self._file = keeper, file

    async def write(self, chunk: bytes) -> None:
        with _told(self._keeper.place):
            await asyncio.to_thread(write_all, self._file, chunk)

    async def commit(self, key: str) -> None:
        try:
            await self._keeper.send(key, self._file)
        finally:
            self._file.close()

    async def abort(self) -> None:
        self._file.close()


@contextlib.contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        # The message of the library may hold the request with its signature.
        raise StoreError(
            f"{place} gives no answer that can be used ({type(error).__name__}).",
            cure="Look at objects and the bucket.",
        ) from None


def _seen(found: Any) -> Seen:
    return Seen(found["path"], found["size"], round(found["last_modified"].timestamp() * 1_000_000))


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder, buffering=0)
