"""Objects in memory: gone with the process. For amnesia, and for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from rco.errors import Overloaded
from rco.kit.clock import Clock
from rco.objects.contract import CHUNK_BYTES, Found, Seen, Spool, check_key
from rco.objects.spool import MemorySpool

__all__ = ["MemoryObjects"]


class MemoryObjects:
    """Implements ``rco.objects.contract.Dropping``. Over ``limit_bytes`` in all nothing more is taken."""

    place = "memory"

    def __init__(self, clock: Clock, limit_bytes: int) -> None:
        self._clock, self._limit_bytes = clock, limit_bytes
        self._held: dict[str, tuple[bytes, int]] = {}
        self._size_bytes = 0

    async def start(self) -> None:
        """Nothing is needed."""

    async def stop(self) -> None:
        self._held.clear()
        self._size_bytes = 0

    async def begin(self) -> _Intake:
        return _Intake(self)

    async def spool(self) -> Spool:
        return MemorySpool(self.reserve, self.release)

    def reserve(self, size_bytes: int) -> None:
        """Take room for what comes. Raises ``Overloaded`` when there is none."""
        if self._size_bytes + size_bytes > self._limit_bytes:
            raise Overloaded(
                f"objects in memory hold {self._size_bytes} bytes; the limit is {self._limit_bytes}.",
                cure="Raise objects.memory_limit, or keep them in a folder.",
            )
        self._size_bytes += size_bytes

    async def put(self, key: str, data: bytes) -> None:
        check_key(key)
        self.reserve(len(data))
        self.keep(key, data)

    async def put_all(self, objects: list[tuple[str, bytes]]) -> None:
        for key, data in objects:
            await self.put(key, data)

    def keep(self, key: str, data: bytes) -> None:
        """Keep ``data``, whose room is reserved."""
        before = self._held.get(check_key(key))
        if before is not None:
            self._size_bytes -= len(before[0])
        self._held[key] = (data, self._clock.now_us())

    def release(self, size_bytes: int) -> None:
        self._size_bytes -= size_bytes

    async def seen(self, key: str) -> Seen | None:
        held = self._held.get(check_key(key))
        return None if held is None else Seen(key, len(held[0]), held[1])

    async def open(self, key: str) -> Found | None:
        held = self._held.get(check_key(key))
        if held is None:
            return None
        data, put_us = held
        rest = _slices(data) if len(data) > CHUNK_BYTES else None
        return Found(Seen(key, len(data), put_us), data[:CHUNK_BYTES], rest)

    async def drop(self, seen: Seen) -> bool:
        return await self.seen(seen.key) == seen and await self.delete(seen.key)

    async def delete(self, key: str) -> bool:
        held = self._held.pop(check_key(key), None)
        if held is None:
            return False
        self._size_bytes -= len(held[0])
        return True

    async def collect(self) -> int:
        """Nothing outlives the process."""
        return 0

    async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        keys = sorted(key for key in self._held if key.startswith(prefix) and key > after)
        return [Seen(key, len(self._held[key][0]), self._held[key][1]) for key in keys[:limit]]


class _Intake:
    __slots__ = ("_keeper", "_pieces", "_size_bytes")

    def __init__(self, keeper: MemoryObjects) -> None:
        self._keeper, self._pieces, self._size_bytes = keeper, bytearray(), 0

    async def write(self, chunk: bytes) -> None:
        self._keeper.reserve(len(chunk))
        self._size_bytes += len(chunk)
        self._pieces += chunk

    async def commit(self, key: str) -> None:
        check_key(key)
        self._keeper.keep(key, bytes(self._pieces))
        self._size_bytes = 0
        self._pieces = bytearray()

    async def abort(self) -> None:
        self._keeper.release(self._size_bytes)
        self._size_bytes = 0
        self._pieces = bytearray()


async def _slices(data: bytes) -> AsyncGenerator[bytes]:
    """What stands behind the first piece."""
    for at in range(CHUNK_BYTES, len(data), CHUNK_BYTES):
        yield data[at : at + CHUNK_BYTES]
