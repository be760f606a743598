"""A feed: everything once in order, from where it was left, past what a broker will never take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from rco.brokers.contract import Outgoing
from rco.errors import BrokerAway, BrokerRefused
from rco.relay.feed import Feed
from rco.relay.topics import AUDIT, WEBHOOK, messages_of, telling
from rco.store.contract.ownership import SoleOwner
from rco.store.contract.writer import Seal


class Chains:
    """Two chains and their cursors."""

    def __init__(self) -> None:
        self.links: dict[str, list[Seal]] = {"a/0": [], "b/0": []}
        self.cursors: dict[str, int] = {}
        self.moves = 0

    def add(self, chain: str, *verbs: str) -> None:
        links = self.links[chain]
        n = len(links) + 1
        decisions = [{"verb": verb, "at_us": 1, "actor": "provider:shop", "event": f"e{n}"} for verb in verbs]
        links.append(
            Seal(
                writer=chain,
                n=n,
                epoch=1,
                at_us=1,
                prev=b"",
                leaves=b"",
                decisions=msgspec.json.encode(decisions),
                hash=f"{chain}{n:06}".ljust(32).encode(),
            )
        )

    async def chains(self) -> list[str]:
        return sorted(self.links)

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:
        return [link for link in self.links[chain] if link.n >= first_n][:limit]

    async def head(self, chain: str = "") -> Seal | None:
        return self.links[chain][-1] if self.links[chain] else None

    async def cursor(self, name: str) -> int:
        return self.cursors.get(name, 0)

    async def move_cursor(self, name: str, to: int) -> None:
        self.moves += 1
        self.cursors[name] = max(to, self.cursors.get(name, 0))


class Told:
    """A broker that takes, refuses or is away, as a test says."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.away = 0
        self.never: set[str] = set()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.away:
            self.away -= 1
            raise BrokerAway("away")
        if self.never & {one.id for one in messages}:
            raise BrokerRefused("too large")
        self.kept += [one.id for one in messages]


def feed(chains: Chains, told: Told, topics: tuple[str, ...] = (AUDIT,)) -> tuple[Feed, list[int], list[str]]:
    counts: list[int] = []
    refused: list[str] = []
    return (
        Feed(
            "events",
            telling(topics),
            told.publish,
            chains,
            SoleOwner(),
            random=lambda: 1.0,
            told=counts.append,
            refused=lambda: refused.append("one"),
            trouble=lambda _, __: None,
        ),
        counts,
        refused,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_all_of_it_in_order_and_in_the_next_life_what_came_since() -> None:
    chains, told = Chains(), Told()
    for _ in range(5):
        chains.add("a/0", "accept", "start")
        chains.add("b/0", "close")
    first, _, _ = feed(chains, told)
    await first.start()
    await until(lambda: len(told.kept) == 15)
    await first.stop()
    assert len(set(told.kept)) == 15
    of_a = [one for one in told.kept if bytes.fromhex(one.split("/")[0]).startswith(b"a/0")]
    assert of_a == sorted(of_a)
    chains.add("a/0", "close")
    second, counts, _ = feed(chains, told)
    await second.start()
    await until(lambda: len(told.kept) == 16)
    await second.stop()
    assert sum(counts) == 1


async def test_what_is_not_asked_for_is_not_told_and_moves_no_cursor() -> None:
    chains, told = Chains(), Told()
    for _ in range(20):
        chains.add("a/0", "start")
    chains.add("a/0", "accept")
    for _ in range(20):
        chains.add("a/0", "start")
    one, _, _ = feed(chains, told, (WEBHOOK,))
    await one.start()
    await until(lambda: len(told.kept) == 1)
    moves = chains.moves
    chains.add("a/0", "start")
    one.wake()
    await asyncio.sleep(0.2)
    assert chains.moves == moves
    await one.stop()


async def test_a_broker_that_is_away_is_told_later_and_the_cursor_waits() -> None:
    chains, told = Chains(), Told()
    told.away = 2
    chains.add("a/0", "accept")
    one, _, _ = feed(chains, told)
    await one.start()
    await until(lambda: told.away == 1)
    assert chains.cursors == {}
    await until(lambda: len(told.kept) == 1)
    await one.stop()
    assert chains.cursors == {"events/a/0": 1}


async def test_one_that_is_refused_for_ever_is_passed_over_alone() -> None:
    chains, told = Chains(), Told()
    for _ in range(9):
        chains.add("a/0", "accept")
    bad = messages_of("a/0", chains.links["a/0"][4], [AUDIT])[0].id
    told.never = {bad}
    one, _, refused = feed(chains, told)
    await one.start()
    await until(lambda: len(told.kept) == 8)
    await one.stop()
    assert refused == ["one"]
    assert chains.cursors["events/a/0"] == 9


async def test_what_is_there_at_the_stop_is_told() -> None:
    chains, told = Chains(), Told()
    one, _, _ = feed(chains, told)
    await one.start()
    await asyncio.sleep(0)
    chains.add("b/0", "node")
    await one.stop()
    assert len(told.kept) == 1
    await one.stop()


def test_two_services_with_one_name_never_share_an_identity() -> None:
    ours, theirs = Chains(), Chains()
    ours.add("a/0", "accept")
    theirs.add("a/0", "accept")
    link = msgspec.structs.replace(theirs.links["a/0"][0], hash=b"another one" * 3)
    assert messages_of("a/0", ours.links["a/0"][0], [AUDIT])[0].id != messages_of("a/0", link, [AUDIT])[0].id


def test_repeats_and_handshakes_are_no_acceptance() -> None:
    chains = Chains()
    chains.add("a/0", "accept", "refuse", "handshake")
    link = chains.links["a/0"][0]
    assert [one.topic for one in messages_of("a/0", link, [WEBHOOK])] == [WEBHOOK]
    again = msgspec.json.encode([{"verb": "accept", "at_us": 1, "actor": "provider:shop", "reason": "duplicate"}])
    assert messages_of("a/0", msgspec.structs.replace(link, decisions=again), [WEBHOOK]) == []
