"""Keeping payloads as objects and getting them back, each checked against what its reference says.

Every payload is an object of its own, under a name that nobody had before: so an object is written once, and one that
is found unused can be removed without asking who might be writing the same just now. Where its namespace has a key,
what is kept is encrypted with it, bound to the object's name, and is as gone as the key when that is erased.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from rco.errors import EvidenceBroken, NotFound, ObjectsAway, Overloaded, StoreError
from rco.kit.digest import digest
from rco.kit.ids import Ids
from rco.model.payload import NAME_BYTES, Reference
from rco.objects.contract import Objects, read

__all__ = ["PayloadStore", "Sealing", "Told", "key_of", "name_of", "prefix_of"]

AT_A_TIME = 16
"""Payloads on their way in or out: each is in memory as a whole."""
_SLACK_BYTES = 256
"""Encryption adds less than this."""


class Sealing(Protocol):
    """Encryption as it is poured in: ``rco.encryption.objects``."""

    def seal(self, namespace: str, name: bytes, data: bytes) -> bytes:
        """``data`` as it is kept: encrypted where ``namespace`` has a key."""
        ...

    async def unseal(self, name: bytes, data: bytes) -> bytes:
        """What ``seal`` was given. Raises ``PayloadErased`` and ``PayloadLocked``."""
        ...


def prefix_of(space: str) -> str:
    """Where all objects of one database stand."""
    return f"payload/{space}/"


def key_of(space: str, name: bytes) -> str:
    """Where the object ``name`` stands: spread over 256 folders."""
    digits = name.hex()
    return f"{prefix_of(space)}{digits[:2]}/{digits}"


def name_of(key: str) -> bytes | None:
    """The name of the object at ``key``; ``None`` where that is none of a payload."""
    digits = key.rpartition("/")[2]
    try:
        name = bytes.fromhex(digits)
    except ValueError:
        return None
    return name if len(name) == NAME_BYTES else None


class Told(Protocol):
    """Told of what goes in and out."""

    def put(self, size_bytes: int) -> None: ...

    def got(self, size_bytes: int) -> None: ...

    def failed(self, problem: BaseException) -> None: ...


class PayloadStore:
    """Implements ``rco.engine.referring.Payloads``. Used on one event loop."""

    def __init__(
        self,
        objects: Objects,
        space: str,
        ids: Ids,
        *,
        over_bytes: int,
        timeout_s: float,
        sealing: Sealing | None = None,
        told: Told | None = None,
    ) -> None:
        """``over_bytes``: what is larger is to be kept here; 0 for nothing, so that only what is here is read."""
        self.objects, self.space = objects, space
        self._ids, self._over_bytes, self._timeout_s = ids, over_bytes, timeout_s
        self._sealing, self._told = sealing, told
        self._gate = asyncio.Semaphore(AT_A_TIME)

    @property
    def over_bytes(self) -> int:
        return self._over_bytes

    async def keep(self, namespace: str, data: bytes, *, json: bool = False) -> Reference:
        """Keep ``data``; durable when this returns. Every call makes another object: of one that nothing refers to in
        the end, the collector removes what is left. Raises ``ObjectsAway``: it may be there or not."""
        name = self._ids.secret(NAME_BYTES)
        body = data if self._sealing is None else self._sealing.seal(namespace, name, data)
        try:
            async with asyncio.timeout(self._timeout_s), self._gate:
                await self._put(key_of(self.space, name), body)
        except TimeoutError:
            problem: Exception = TimeoutError(f"not taken within {self._timeout_s:g} s")
        except (StoreError, Overloaded) as error:
            problem = error
        else:
            if self._told is not None:
                self._told.put(len(body))
            return Reference(name, digest(body), len(data), json)
        if self._told is not None:
            self._told.failed(problem)
        try:
            raise ObjectsAway(
                f"a payload of {len(data)} bytes could not be put into the object store: {problem}",
                cure="Nothing was accepted. Send it again when objects answers.",
            ) from problem
        finally:
            # It knows this frame, and so the payload: the two would stay until the collector looks, which is seldom.
            del problem

    async def _put(self, key: str, body: bytes) -> None:
        await self.objects.put(key, body)

    async def fetch(self, reference: Reference) -> bytes:
        """The payload. Raises ``ObjectsAway`` when the object store gives no answer, ``EvidenceBroken`` when the object
        is gone or is not what was put, and what ``unseal`` raises."""
        body = await self.stored(reference)
        data = body if self._sealing is None else await self._sealing.unseal(reference.name, body)
        if len(data) != reference.size_bytes:
            raise _broken(reference)
        return data

    async def stored(self, reference: Reference) -> bytes:
        """The bytes of the object as they are kept, checked."""
        problem: Exception
        try:
            async with asyncio.timeout(self._timeout_s), self._gate:
                body = await self._get(reference)
        except NotFound:
            raise EvidenceBroken(
                f"the payload {reference.name.hex()} is not in the object store any more.",
                cure="Restore the object from the bucket's versions or a backup.",
            ) from None
        except TimeoutError:
            problem = TimeoutError(f"not given within {self._timeout_s:g} s")
        except StoreError as error:
            problem = error
        else:
            if digest(body) != reference.digest:
                raise _broken(reference)
            if self._told is not None:
                self._told.got(len(body))
            return body
        if self._told is not None:
            self._told.failed(problem)
        try:
            raise ObjectsAway(f"a payload cannot be read: {problem}", cure="Look at objects.") from problem
        finally:
            del problem

    async def _get(self, reference: Reference) -> bytes:
        body = bytearray()
        async for piece in read(self.objects, key_of(self.space, reference.name)):
            body += piece
            if len(body) > reference.size_bytes + _SLACK_BYTES:
                raise _broken(reference)
        return bytes(body)


def _broken(reference: Reference) -> EvidenceBroken:
    return EvidenceBroken(
        f"the payload {reference.name.hex()} is not what was put there.",
        cure="Somebody changed the object: restore it from the bucket's versions or a backup.",
    )
