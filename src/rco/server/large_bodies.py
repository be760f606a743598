"""Webhooks whose bodies are over ``body_limit``, where their provider may send such: streamed to the content store.

A body is written as it comes, under no name, while what is signed is computed of it. Only when the signature holds, and
nothing else speaks against the delivery, is it put under its address; then the event is accepted, with a reference in
place of the body. One that is compressed is kept as what it decodes to, and decoded once its signature holds. Whatever
goes wrong before that removes what was written at once; what a crash leaves is collected.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import cast

from rco.bridge.admission import Route
from rco.bridge.decoding import Decoding, decoding_of
from rco.bridge.decompression import RATIO_DEFAULT
from rco.bridge.passing import Kept, LargeVerifier, Passing
from rco.errors import Forbidden, Overloaded, Reason, Refused, StoreError
from rco.kit.clock import Clock
from rco.model.delivery import Delivery, Receipt
from rco.objects.content import ContentStore, Filling, Meta
from rco.objects.contract import CHUNK_BYTES
from rco.objects.options import ContentOptions
from rco.server.deadlines import Deadlines
from rco.server.framing import UNKNOWN_LENGTH, Head, Receive
from rco.server.pieces import Begun, resumed

__all__ = ["HELD_BYTES", "LargeBodies", "Upload"]

HELD_BYTES = 2 * CHUNK_BYTES
"""What one body takes in memory at most while it passes."""


class Upload:
    """A body that has passed, proven and not yet kept. End it with ``accept`` or ``abort``."""

    __slots__ = ("_filling", "_told", "delivery")

    def __init__(self, filling: Filling, delivery: Delivery, told: Callable[[int], None]) -> None:
        self._filling, self.delivery, self._told = filling, delivery, told

    async def accept(self, accept: Callable[[Delivery], Awaitable[Receipt]]) -> Receipt:
        """Keep the body, then accept the delivery: the event never refers to what is not durable. Raises what either
        raises; a body that is kept then stays, as whether the event is durable may not be known."""
        try:
            stored = await self._filling.finish()
        except BaseException:
            await self._filling.abort()
            raise
        self._told(stored.size_bytes)
        return await accept(self.delivery)

    async def abort(self) -> None:
        """Forget it."""
        await self._filling.abort()


class LargeBodies:
    """Takes them in, at most ``options.inflight`` at a time.

    ``contents`` is the content store, once it is open; ``room`` raises what ``accept`` would raise now for a delivery,
    so that nothing is kept of what would only be refused; ``told`` hears the size of each body that is kept.
    """

    def __init__(
        self,
        contents: Callable[[], ContentStore | None],
        clock: Clock,
        *,
        options: ContentOptions,
        read_timeout_s: float,
        room: Callable[[Delivery], None],
        told: Callable[[int], None],
        max_ratio: float = RATIO_DEFAULT,
    ) -> None:
        self._contents, self._clock, self._options = contents, clock, options
        self._reading, self._room, self._told = Deadlines(read_timeout_s), room, told
        self._max_ratio = max_ratio
        self.inflight = 0

    async def receive(
        self,
        receive: Receive,
        head: Head,
        headers: list[tuple[bytes, bytes]],
        route: Route,
        corr_id: str,
        begun: Begun | None = None,
    ) -> Upload:
        """The proven delivery of a request whose body is over the provider's ``body_limit``. ``begun``: what of it was
        read before that was known.

        Raises ``Refused`` for the head before a byte more of the body is read, for the body as ``rco.server.pieces``
        says, and as ``Verifier.verify`` does; ``BODY_LIMIT`` when it is over ``large_body_limit``, ``DECOMP_LIMIT``
        when what it decodes to is, ``TIMEOUT`` when it takes too long, ``BACKPRESSURE`` when too many come at once;
        ``StoreError`` and ``Overloaded`` when it cannot be kept. Nothing of it is left then.
        """
        contents, limit_bytes = self._contents(), route.settings.large_body_limit_bytes
        if contents is None or limit_bytes is None or route.verifier is None or head.length > limit_bytes:
            raise Refused(Reason.BODY_LIMIT, "body_announced")
        coding = decoding_of(head.content_encoding)
        if self.inflight >= self._options.inflight:
            raise Refused(Reason.BACKPRESSURE, "large_inflight", retry_after_s=1.0)
        now_us = self._clock.now_us()
        length_bytes = None if head.length == UNKNOWN_LENGTH else head.length
        passing = cast("LargeVerifier", route.verifier).begin(headers, length_bytes, now_us, corr_id)
        content_type = (head.content_type or b"").partition(b";")[0].strip().lower().decode("ascii", "replace")
        meta = Meta(type=content_type, provider=route.name, put_us=now_us)
        ends_s = self._clock.monotonic() + self._options.put_timeout_s
        body = resumed(
            begun,
            receive,
            head,
            limit_bytes,
            clock=self._clock,
            deadlines=self._reading,
            ends_s=ends_s,
        )
        self.inflight += 1
        try:
            if coding is None and not passing.uncounted:
                filling = await self._through(contents, meta, route.settings.namespace, body, passing)
            else:
                filling = await self._around(
                    contents, meta, route.settings.namespace, body, passing, coding, limit_bytes, ends_s
                )
            try:
                delivery = passing.delivery(Kept(filling.address, filling.size_bytes, content_type))
                self._room(delivery)
            except BaseException:
                await filling.abort()
                raise
        except (StoreError, Overloaded):
            await _pass_by(body)
            raise
        except Forbidden as problem:
            raise Refused(Reason.POLICY_BLOCKED, "namespace_key", str(problem)) from None
        finally:
            self.inflight -= 1
        return Upload(filling, delivery, self._told)

    async def _through(
        self, contents: ContentStore, meta: Meta, namespace: str, body: AsyncIterator[bytes], passing: Passing
    ) -> Filling:
        """Straight to where it is kept: what makes the delivery unique is known when the last piece has passed."""
        filling = contents.begin(meta, namespace)
        try:
            async for piece in body:
                passing.add(piece)
                await filling.write(piece)
        except BaseException:
            await filling.abort()
            raise
        return filling

    async def _around(
        self,
        contents: ContentStore,
        meta: Meta,
        namespace: str,
        body: AsyncIterator[bytes],
        passing: Passing,
        coding: bytes | None,
        limit_bytes: int,
        ends_s: float,
    ) -> Filling:
        """Over a spool, which is read again once the signature holds: nothing is decoded for who cannot prove it, and
        the length is known by then."""
        spool = await contents.objects.spool()
        try:
            async for piece in body:
                passing.add(piece)
                await spool.write(piece)
            passing.prove()
            recounts = passing.uncounted
            if recounts:
                passing.count(spool.size_bytes)
            decoding = None
            if coding is not None:
                decoding = Decoding(
                    coding, wire_bytes=spool.size_bytes, limit_bytes=limit_bytes, max_ratio=self._max_ratio
                )
            filling = contents.begin(meta, namespace)
            try:
                async for piece in spool.read():
                    if recounts:
                        passing.recount(piece)
                    for plain in (piece,) if decoding is None else decoding.add(piece):
                        if self._clock.monotonic() >= ends_s:
                            raise Refused(Reason.TIMEOUT, "decoding_slow")
                        await filling.write(plain)
                if decoding is not None:
                    decoding.end()
            except BaseException:
                await filling.abort()
                raise
            return filling
        finally:
            await spool.close()


async def _pass_by(body: AsyncIterator[bytes]) -> None:
    """Let the rest go by: a sender that is still sending would only see its connection end, and not the answer."""
    with suppress(Refused):
        async for _ in body:
            pass
