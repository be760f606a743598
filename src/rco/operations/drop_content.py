"""Drop content that nobody has put for longer than its class is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from rco.model.decision import Decision, Verb
from rco.objects.content import CONTENT
from rco.objects.contract import Dropping, Seen
from rco.operations.desk import Desk

__all__ = ["ContentCut"]

PAGE = 500


class ContentCut:
    """Whoever puts the same content again while it is dropped keeps it: see ``rco.objects.dropping``."""

    def __init__(
        self, objects: Callable[[], Awaitable[Dropping]], put_lately: Callable[[list[str]], Awaitable[set[str]]]
    ) -> None:
        """``objects`` gives the keeper, opened when it is first asked for; ``put_lately`` those of some keys which were
        put so lately that it does not know."""
        self._objects, self._put_lately = objects, put_lately

    async def count(self, before_us: int) -> tuple[int, int | None]:
        """How much was last put before then, and when the first of it was."""
        count, first_us = 0, None
        async for page in self._over(before_us):
            count += len(page)
            oldest_us = min(one.put_us for one in page)
            first_us = oldest_us if first_us is None else min(first_us, oldest_us)
        return count, first_us

    async def drop(self, desk: Desk, before_us: int, name: str, actor: str) -> AsyncIterator[int]:
        """Drop it in pages, each with its record: how many went. Broken off, a second call goes on. ``name`` is that of
        the class."""
        objects = await self._objects()
        async for page in self._over(before_us):
            gone = [one for one in page if await objects.drop(one)]
            if not gone:
                continue
            desk.note(
                Decision(
                    verb=Verb.RETAIN,
                    at_us=desk.clock.now_us(),
                    actor=actor,
                    subject="content",
                    reason="retention",
                    facts={"class": name, "count": len(gone), "size_bytes": sum(one.size_bytes for one in gone)},
                )
            )
            yield len(gone)

    async def _over(self, before_us: int) -> AsyncIterator[list[Seen]]:
        """Pages of what was last put before then; none is empty."""
        objects, after = await self._objects(), ""
        while found := await objects.listed(CONTENT, after, PAGE):
            after = found[-1].key
            old = [one for one in found if one.put_us < before_us]
            lately = await self._put_lately([one.key for one in old]) if old else set()
            page = [one for one in old if one.key not in lately]
            if page:
                yield page
