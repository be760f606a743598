"""A body that is kept in the content store, as a step reads it: bounded, in pieces, and checked against its address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from rco.errors import Misuse, NotFound
from rco.objects.content import Content, ContentStore, well_formed_address

__all__ = ["Body", "Contents", "address_in", "no_contents", "with_body"]

LIMIT_BYTES = 1 << 20
Contents = Callable[[], ContentStore]
"""The content store. Raises ``Misuse`` where there is none."""


class Body:
    """What stands behind a reference. Its pieces can be asked for once; gone when the step's function returns."""

    __slots__ = ("_content",)

    def __init__(self, content: Content) -> None:
        self._content = content

    @property
    def address(self) -> str:
        """``b3:`` and 64 hexadecimal digits: the digest of the bytes."""
        return self._content.address

    @property
    def size_bytes(self) -> int:
        return self._content.size_bytes

    @property
    def content_type(self) -> str:
        """What the sender said it is. Nothing checked it."""
        return self._content.meta.type

    def stream(self) -> AsyncIterator[bytes]:
        """The bytes in pieces of at most 64 KiB, two of them in memory. The last one comes when all were found to be
        what the address says; raises ``EvidenceBroken`` instead of it else."""
        return self._content.stream()

    async def whole(self, limit_bytes: int = LIMIT_BYTES) -> bytes:
        """All of it, in memory. Raises ``Misuse`` when it is more than ``limit_bytes``."""
        if self.size_bytes > limit_bytes:
            raise Misuse(
                f"the body has {self.size_bytes} bytes; the limit is {limit_bytes}.",
                cure="Read it with stream(), or give a larger limit_bytes.",
            )
        return b"".join([piece async for piece in self.stream()])

    async def json(self, limit_bytes: int = LIMIT_BYTES) -> Any:
        """The JSON value that it is; decoded it takes several times its size. Raises ``Misuse`` when it is more than
        ``limit_bytes``, ``ValueError`` when it is no JSON."""
        return msgspec.json.decode(await self.whole(limit_bytes))


def address_in(reference: Any) -> str:
    """The address in an event's data, in its ``dataref``, or given as it is. Raises ``Misuse`` for what is none."""
    found = reference
    for name in ("dataref", "address"):
        if isinstance(found, dict):
            found = found.get(name, found)
    if not isinstance(found, str) or not well_formed_address(found):
        raise Misuse(
            "ctx.read was given no reference to a body.",
            cure='Give event["data"] of an event that was too large to hold, or an address, b3:...',
        )
    return found


async def with_body(
    contents: Contents, address: str, function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]
) -> Any:
    """``await function(body, *arguments)`` with the body behind ``address``. Raises ``NotFound`` without one."""
    content = await contents().open(address)
    if content is None:
        raise NotFound(f"no content is kept under {address}.", cure="Look at objects.place: nodes need the same one.")
    try:
        return await function(Body(content), *arguments)
    finally:
        await content.close()


def no_contents() -> ContentStore:
    """Where none is open."""
    raise Misuse(
        "there is no content store here.",
        cure="Set content.enabled, or large_body_limit of a provider; see the how-to.",
    )
