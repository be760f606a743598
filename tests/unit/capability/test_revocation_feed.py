"""The feed: news and heartbeat in one, gaps, silence. On the event loop's own clock, which is turned by hand."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.capability.keys import Office

from rco.capability.feed import Feed
from rco.capability.scope import Ask
from rco.errors import Refused, StoreError
from rco.store.contract.revocations import Revocation, RevocationPage, RevokedKind

START = Ask(kind="run:start", name="fulfil")


class Table:
    """The store's side, with whatever can go wrong in it."""

    def __init__(self) -> None:
        self.rows: list[Revocation] = []
        self.head: int | None = None
        self.away = False
        self.asked: list[int] = []

    def put(self, kind: RevokedKind, name: str, seq: int = 0, epoch: int = 0) -> Revocation:
        one = Revocation(seq=seq or len(self.rows) + 1, kind=kind, name=name, epoch=epoch, at_us=0, actor="a")
        self.rows = sorted([*self.rows, one], key=lambda row: row.seq)
        return one

    async def revoke(self, entry: Revocation) -> Revocation:
        return self.put(entry.kind, entry.name)

    async def revocations(self, after: int, limit: int) -> RevocationPage:
        if self.away:
            raise StoreError("away")
        self.asked.append(after)
        head = max((row.seq for row in self.rows), default=0) if self.head is None else self.head
        return RevocationPage(head, [row for row in self.rows if row.seq > after][:limit])


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def feed(office: Office, table: Table) -> Feed:
    return Feed(table, office.revoked, office.clock)


async def test_news_are_taken_in_page_by_page(office, table, feed, monkeypatch):
    monkeypatch.setattr("rco.capability.feed.PAGE", 2)
    for n in range(5):
        table.put(RevokedKind.ID, f"cap_{n}")
    await feed.read()
    assert all(office.revoked.holds(f"cap_{n}", "k1") for n in range(5))
    assert table.asked == [0, 2, 4]
    await feed.read()
    assert table.asked[3:] == [5]


async def test_a_missing_number_makes_everything_be_read_again_and_nothing_be_forgotten(office, table, feed):
    table.put(RevokedKind.ID, "cap_1")
    await feed.read()
    table.put(RevokedKind.ID, "cap_3", seq=3)
    await feed.read()
    assert feed.rereads == 1
    assert office.revoked.holds("cap_1", "k")
    assert office.revoked.holds("cap_3", "k")
    # One that appears late below what is known is found by the next re-reading, and a hole that stays is no alarm.
    await feed.read()
    assert feed.rereads == 1
    table.put(RevokedKind.ID, "cap_2", seq=2)
    table.put(RevokedKind.ID, "cap_5", seq=5)
    await feed.read()
    assert feed.rereads == 2
    assert office.revoked.holds("cap_2", "k")


async def test_a_store_that_was_put_back_makes_nothing_good_again(office, table, feed):
    table.put(RevokedKind.ID, "cap_1")
    table.put(RevokedKind.KID, "k7")
    await feed.read()
    table.rows = []
    await feed.read()
    assert feed.rereads == 1
    assert office.revoked.holds("cap_1", "k")
    assert office.revoked.holds("x", "k7")
    table.put(RevokedKind.ID, "cap_9")
    await feed.read()
    assert office.revoked.holds("cap_9", "k")


async def test_a_head_without_its_entry_is_a_gap(table, feed):
    table.head = 4
    await feed.read()
    assert feed.rereads == 1


async def test_silence_allows_nothing_after_a_second_and_an_answer_ends_it(office, table, feed):
    await feed.read()
    authority = office.authority
    token = authority.mint(("run:start:fulfil", "call:*"), namespace="default", ttl_s=60).token
    rights = authority.rights(authority.proved(token).grant(START, b"r" * 16, ("call:*",)), b"r" * 16)
    call = Ask(kind="call", name="payments", method="GET", segments=("x",))
    office.clock.at_s += 0.999
    authority.check(token, START)
    assert rights.refusal(call) is None
    office.clock.at_s += 0.001
    with pytest.raises(StoreError, match="silent"):
        authority.check(token, START)
    with pytest.raises(StoreError, match="silent"):
        authority.mint(("run:start:fulfil",), namespace="default", ttl_s=60)
    refusal = rights.refusal(call)
    assert refusal is not None
    assert refusal.passing
    assert refusal.reason == "cap_unknowable"
    table.away = True
    with pytest.raises(StoreError, match="away"):
        await feed.read()
    assert rights.refusal(call) is not None
    table.away = False
    await feed.read()
    authority.check(token, START)
    assert rights.refusal(call) is None


async def test_an_answer_counts_from_when_it_was_asked_for(office, table, feed):
    """A store that takes its time says what was true when it looked, and that may be long ago."""
    inner = table.revocations

    async def slowly(after: int, limit: int) -> RevocationPage:
        page = await inner(after, limit)
        office.clock.at_s += 1.5
        return page

    table.revocations = slowly
    await feed.read()
    with pytest.raises(StoreError):
        office.revoked.require_fresh()


async def test_nothing_is_known_before_the_first_answer():
    office = Office()
    office.revoked.__init__(office.clock)  # type: ignore[misc]
    with pytest.raises(StoreError):
        office.revoked.require_fresh()


@pytest.mark.parametrize(
    ("kind", "name"), [(RevokedKind.ID, ""), (RevokedKind.KID, "k1"), (RevokedKind.EPOCH, "default")]
)
async def test_each_kind_ends_tokens_and_the_rights_of_runs(office, table, feed, kind, name):
    await feed.read()
    authority = office.authority
    token = authority.mint(("run:start:fulfil", "call:*"), namespace="default", ttl_s=60).token
    other = authority.mint(("run:start:fulfil",), namespace="other", ttl_s=60).token
    rights = authority.rights(authority.proved(token).grant(START, b"r" * 16), b"r" * 16)
    table.put(kind, name or token.id, epoch=1 if kind is RevokedKind.EPOCH else 0)
    await feed.read()
    with pytest.raises(Refused) as refused:
        authority.check(token, START)
    assert refused.value.detail in ("cap_revoked", "cap_epoch")
    refusal = rights.refusal(Ask(kind="call", name="payments", method="GET"))
    assert refusal is not None
    assert not refusal.passing
    elsewhere = Ask(kind="run:start", name="fulfil", namespace="other")
    if kind is not RevokedKind.KID:
        authority.check(other, elsewhere)
    if kind is RevokedKind.EPOCH:
        # What is minted from now on carries the new epoch.
        authority.check(authority.mint(("run:start:fulfil",), namespace="default", ttl_s=60).token, START)
    if kind is RevokedKind.KID:
        with pytest.raises(StoreError, match="no root key"):
            authority.mint(("run:start:fulfil",), namespace="default", ttl_s=60)


async def test_the_beat_goes_on_through_trouble(office, table):
    told = asyncio.Event()
    feed = Feed(table, office.revoked, office.clock, trouble=lambda _: told.set(), beat_s=0.001)
    await feed.start()
    try:
        table.away = True
        await asyncio.wait_for(told.wait(), 10)
        table.away = False
        table.put(RevokedKind.ID, "cap_1")
        while not office.revoked.holds("cap_1", "k"):
            await asyncio.sleep(0)
    finally:
        await feed.stop()
        await feed.stop()


async def test_who_revokes_knows_at_once(office, table, feed):
    await feed.read()
    await feed.revoke(Revocation(kind=RevokedKind.ID, name="cap_1", at_us=0, actor="a"))
    assert office.revoked.holds("cap_1", "k")
