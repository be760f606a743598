"""Two nodes at the same moment: a claim and a key are given once, and no wake-up is lost."""

from __future__ import annotations

import asyncio
from typing import Any

from rco.model.run import Outcome
from rco.store.contract.changes import Claim, Ended, StartKey, Waiter
from rco.store.postgres.ownership import winner

MINE = {name: min(s for s in range(256) if winner(s, ["a", "b"]) == name) for name in "ab"}


async def two(make_node: Any) -> tuple[Any, Any]:
    one, other = make_node("a"), make_node("b")
    await one.keeper.start()
    await other.keeper.start()
    await other.until(lambda: other.ownership.owns(MINE["b"]) and not one.ownership.owns(MINE["b"]))
    return one, other


async def test_a_claim_and_a_start_key_are_given_once(make_node: Any) -> None:
    nodes = await two(make_node)
    far = 1 << 60
    for number in range(100):
        digest = number.to_bytes(32, "big")
        tries = []
        for node in nodes:
            row = node.row(MINE[node.name])
            tries.append(
                node.admit(
                    MINE[node.name],
                    claim=Claim(digest, f"corr-{node.name}", far),
                    start_keys=[StartKey("default", f"k{number}", b"r", row.run_id)],
                    opened=[(row, b"start")],
                )
            )
        verdicts = await asyncio.gather(*tries)
        assert sorted(verdict.status for verdict in verdicts) == ["accepted", "duplicate"]
        # The second is told who was first.
        first = "ab"[[verdict.status for verdict in verdicts].index("accepted")]
        assert max(verdict.corr_id for verdict in verdicts) == f"corr-{first}"
    assert sum((await nodes[0].reader.count_open()).values()) == 100


async def test_claims_alone_are_given_once(make_node: Any) -> None:
    nodes = await two(make_node)
    for number in range(100):
        claims = [Claim(number.to_bytes(32, "big"), f"corr-{node.name}", 1 << 60) for node in nodes]
        tries = [node.admit(MINE[node.name], claim=claim) for node, claim in zip(nodes, claims, strict=True)]
        verdicts = await asyncio.gather(*tries)
        assert sorted(verdict.status for verdict in verdicts) == ["accepted", "duplicate"]


async def test_keys_alone_raced_with_two_requests_conflict(make_node: Any) -> None:
    nodes = await two(make_node)
    for number in range(60):
        tries = []
        for node in nodes:
            row = node.row(MINE[node.name])
            key = StartKey("default", f"k{number}", node.name.encode(), row.run_id)
            tries.append(node.admit(MINE[node.name], start_keys=[key], opened=[(row, b"start")]))
        assert sorted(verdict.status for verdict in await asyncio.gather(*tries)) == ["accepted", "conflict"]


async def test_a_wait_and_its_event_never_miss_each_other(make_node: Any) -> None:
    """The wait begins on one node while the event is accepted on the other, five hundred times."""
    one, other = await two(make_node)
    for number in range(500):
        run_id = await one.open(MINE["a"]) if number % 50 == 0 else run_id  # noqa: F821 - the first is opened
        subject = f"order-{number}"
        since_us = one.clock.now_us() - 1_000_000
        waiter = Waiter(run_id, f"wait/{number}", "default", "paid", subject, since_us)
        first, second = (
            one.commit(lambda c, waiter=waiter: c.waiters.append(waiter), MINE["a"]),
            other.admit(event=other.event(f"e{number}", subject)),
        )
        # Who begins is changed about, and how far apart.
        if number % 2:
            first, second = second, first
        begun = asyncio.ensure_future(first)
        for _ in range(number % 7):
            await asyncio.sleep(0)
        await asyncio.gather(begun, second)
        messages = await one.reader.messages(run_id)
        assert f"event:s:e{number}" in {message.message_id for message in messages}, number


async def test_a_message_to_a_run_that_closes_at_the_same_moment_is_refused_or_goes_with_it(make_node: Any) -> None:
    one, other = await two(make_node)
    for number in range(150):
        run_id = await one.open(MINE["a"])
        closing = one.commit(lambda c, run_id=run_id: c.ended.append(Ended(run_id, Outcome.COMPLETED, 9)), MINE["a"])
        begun = asyncio.ensure_future(closing)
        for _ in range(number % 5):
            await asyncio.sleep(0)
        verdict = await other.admit(messages=[other.message(run_id)])
        await begun
        assert verdict.status in {"accepted", "closed"}
        assert await one.reader.messages(run_id) == []


async def test_an_event_for_a_run_that_closes_at_the_same_moment_leaves_nothing_behind(make_node: Any) -> None:
    one, other = await two(make_node)
    for number in range(100):
        run_id = await one.open(MINE["a"])
        subject = f"s{number}"
        waiter = Waiter(run_id, "w", "default", "paid", subject, 0)
        await one.commit(lambda c, waiter=waiter: c.waiters.append(waiter), MINE["a"])
        closing = one.commit(lambda c, run_id=run_id: c.ended.append(Ended(run_id, Outcome.COMPLETED, 9)), MINE["a"])
        begun = asyncio.ensure_future(closing)
        for _ in range(number % 5):
            await asyncio.sleep(0)
        await other.admit(event=other.event(f"e{number}", subject))
        await begun
        assert await one.reader.messages(run_id) == []
