"""The endpoints as a node knows them: what is read while events come."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from rco.model.endpoint import Endpoint, EndpointState
from rco.model.event import Event
from rco.store.contract.endpoints import EndpointPage
from rco.webhooks.book import Book

EVENT = Event(id="1", source="/shop", type="order.paid", data=b"{}", time_us=1, received_us=1, corr_id="c")


class Kept:
    """Endpoints in pages of one, and a gate before every page but the first."""

    def __init__(self) -> None:
        self.rows: list[Endpoint] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def endpoints(self, after: int, limit: int) -> EndpointPage:
        if after:
            self.asked.set()
            await self.gate.wait()
        page = self.rows[after : after + 1]
        return EndpointPage(after + len(page), page)

    async def queue_counts(self) -> list[Any]:
        return []


def an_endpoint(name: str) -> Endpoint:
    return Endpoint(
        endpoint_id=name, namespace="default", url="https://x.test/", types=("order.*",), since_us=1, created_us=1
    )


def book_of(kept: Kept) -> Book:
    def fail(problem: BaseException) -> None:
        raise problem

    return Book(kept, fail)  # type: ignore[arg-type]


async def test_an_event_that_comes_while_a_deleted_endpoint_is_read_is_matched() -> None:
    kept = Kept()
    kept.rows = [an_endpoint("a"), an_endpoint("b")]
    book = book_of(kept)
    await book.look()
    kept.rows.append(msgspec.structs.replace(an_endpoint("a"), state=EndpointState.DELETED, version=2))
    kept.gate.clear()
    kept.asked.clear()
    looking = asyncio.create_task(book.look())
    await kept.asked.wait()
    kept.gate.set()
    kept.asked.clear()
    kept.gate.clear()
    # The page that deletes it is read, the end of the list is not.
    await asyncio.wait([asyncio.create_task(kept.asked.wait())], timeout=5)
    wanted, failed = book.match(EVENT)
    assert ({one.endpoint_id for one, _ in wanted}, failed) == ({"a", "b"}, [])
    kept.gate.set()
    await looking
    wanted, _ = book.match(EVENT)
    assert [one.endpoint_id for one, _ in wanted] == ["b"]


async def test_a_look_that_is_cut_off_is_made_again_from_where_it_began() -> None:
    kept = Kept()
    kept.rows = [an_endpoint("a")]
    book = book_of(kept)
    await book.look()
    kept.rows.append(an_endpoint("b"))
    kept.gate.clear()
    kept.asked.clear()
    looking = asyncio.create_task(book.look())
    await kept.asked.wait()
    looking.cancel()
    await asyncio.wait([looking])
    kept.gate.set()
    await book.look()
    assert {one.endpoint_id for one, _ in book.match(EVENT)[0]} == {"a", "b"}
