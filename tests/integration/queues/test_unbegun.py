"""A run whose turn comes begins from its opening where that is remembered, and is read back where it is not."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from rco.engine import unbegun
from rco.engine.unbegun import Unbegun
from rco.model.decision import Decision, Verb
from rco.model.message import Message
from rco.model.queue import Queue
from rco.model.run import Mode, Outcome


class Counting:
    """A reader that counts what the engine asks of single runs."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.asked: dict[bytes, Counter[str]] = {}

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._reader, name)
        if name not in ("messages", "run", "journal"):
            return ask

        async def counted(run_id: bytes) -> Any:
            self.asked.setdefault(run_id, Counter())[name] += 1
            return await ask(run_id)

        return counted


def counting(node: Any) -> Counting:
    loading = node.engine._loading
    reader = loading._reader = loading.reviving._reader = Counting(loading._reader)
    return reader


def alone(node: Any) -> bool:
    return node.keeper.ownership.shards() is None


async def begun(node: Any, run_id: bytes) -> None:
    """It has begun, was closed, and did it right."""
    await node.is_in(Mode.HOT, run_id)
    await node.go(run_id)
    finished = await node.engine.result(run_id, 10)
    assert finished.outcome is Outcome.COMPLETED


async def test_a_fresh_run_is_not_read_back(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1)})
    reader = counting(node)
    runs = [await node.open(given={"number": number}) for number in range(3)]
    for run_id in runs:
        await node.is_in(Mode.HOT, run_id)
        # Who owns all hears of all that is sent to a run; others look into its inbox.
        assert set(reader.asked.get(run_id, ())) == (set() if alone(node) else {"messages"})
        await begun(node, run_id)
    assert len(node.engine._loading.unbegun) == 0


async def test_one_that_was_held_is_read_back(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1)})
    first, second = await node.open(), await node.open()
    await node.is_in(Mode.HOT, first)
    await node.engine.pause(second, "why", "test", Decision(verb=Verb.PAUSE, at_us=0))
    await node.is_in(Mode.PAUSED, second)
    await node.go(first)
    await node.until(lambda: none_runs(node))
    await node.engine.resume(second, "go", "test", Decision(verb=Verb.RESUME, at_us=0))
    reader = counting(node)
    await begun(node, second)
    assert reader.asked[second]["journal"] == 1


async def test_what_was_sent_to_one_while_it_waited_is_heard(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1)})
    first, second = await node.open(), await node.open()
    await node.is_in(Mode.HOT, first)
    await node.go(second)
    reader = counting(node)
    await begun(node, first)
    finished = await node.engine.result(second, 10)
    assert finished.outcome is Outcome.COMPLETED
    assert reader.asked[second]["messages"] >= 1


async def test_what_is_sent_to_one_in_the_very_commit_that_gives_it_its_turn_is_heard(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1)})
    first, second = await node.open(), await node.open()
    await node.is_in(Mode.HOT, first)
    give = node.dispatcher._give

    def give_and_send(held: Any, items: Any) -> None:
        give(held, items)
        body = msgspec.msgpack.encode(None)
        changes = node.keeper.writer.changes(held.shard)
        changes.messages.append(Message(items[0].run_id, "go-1", "signal", "go", body, node.clock.now_us()))

    node.dispatcher._give = give_and_send
    await begun(node, first)
    finished = await node.engine.result(second, 10)
    assert finished.outcome is Outcome.COMPLETED


async def none_runs(node: Any) -> bool:
    return (await node.counted()).running == 0


async def test_one_that_waits_over_a_restart_is_read_back(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1)})
    first, second = await node.open(), await node.open()
    await node.is_in(Mode.HOT, first)
    await node.stop()
    assert len(node.engine._loading.unbegun) == 0
    await node.start()
    reader = counting(node)
    await begun(node, first)
    await begun(node, second)
    assert reader.asked[second]["journal"] == 1


async def test_one_that_was_cancelled_while_it_waited_does_not_begin(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1)})
    first, second = await node.open(), await node.open()
    await node.is_in(Mode.HOT, first)
    await node.engine.cancel(second, "no more", "test", Decision(verb=Verb.CANCEL, at_us=0))
    finished = await node.engine.result(second, 10)
    assert finished.outcome is Outcome.CANCELLED
    await begun(node, first)
    assert (await node.counted()).running == 0


class Shards:
    """Of an owner what the account asks."""

    def __init__(self) -> None:
        self.sure, self.live, self.mine, self.times = True, {}, True, 0
        self.ownership = SimpleNamespace(owns=lambda _: self.mine)

    def home(self, _: Any) -> int:
        return 0

    def tenure(self, _: int) -> int:
        return self.times


def opening(number: int, **more: Any) -> Any:
    known = {
        "row": SimpleNamespace(run_id=number.to_bytes(16, "big"), namespace="default"),
        "segment": b"start",
        "payloads": [],
        "tenure": 0,
        "coming": SimpleNamespace(left=False),
    }
    return SimpleNamespace(**(known | more))


def test_it_is_bounded_and_keeps_the_first_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unbegun, "FIRST_MAX", 4)
    monkeypatch.setattr(unbegun, "LAST_MAX", 2)
    account = Unbegun(Shards())  # type: ignore[arg-type]
    for number in range(20):
        account.add(opening(number))
    assert len(account) == 6
    assert [number for number in range(20) if account.take(number.to_bytes(16, "big"))] == [0, 1, 2, 3, 18, 19]
    assert len(account) == 0
    for number in range(8):
        account.add(opening(number, coming=SimpleNamespace(left=True)))
    for number in range(20, 30):
        account.add(opening(number))
    # Those that began otherwise are in nobody's way for ever.
    assert any(account.take(number.to_bytes(16, "big")) for number in range(20, 28))


@pytest.mark.parametrize("what", ["left", "lost", "lost and back", "unsure", "live", "said", "erased", "large"])
def test_what_became_of_it_otherwise_is_noticed(what: str) -> None:
    shards = Shards()
    account = Unbegun(shards)  # type: ignore[arg-type]
    one = opening(1)
    if what == "large":
        one.segment = bytes(unbegun.SEGMENT_BYTES_MAX + 1)
    account.add(one)
    if what == "left":
        one.coming.left = True
    elif what == "lost":
        shards.mine = False
    elif what == "lost and back":
        shards.times += 1
    elif what == "unsure":
        shards.sure = False
    elif what == "live":
        shards.live[one.row.run_id] = object()
    elif what == "said":
        account.forget(one.row.run_id)
    elif what == "erased":
        account.forget_namespace("default")
    assert account.take(one.row.run_id) is None
    assert len(account) == 0


async def test_what_comes_with_its_turn_is_read_before_what_comes_after_it(nodes: Any) -> None:
    """A pause in the commit of the turn, and a resume that was asked for when the pause was acknowledged."""
    node = await nodes(queues={"q": Queue(concurrency=1)})
    first, second = await node.open(), await node.open()
    await node.is_in(Mode.HOT, first)
    give, loading = node.dispatcher._give, node.engine._loading
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    reading, read = asyncio.Event(), loading._reader.messages

    async def slowly(run_id: bytes) -> Any:
        await reading.wait()
        return await read(run_id)

    def give_and_pause(held: Any, items: Any) -> None:
        give(held, items)
        body = msgspec.msgpack.encode({"reason": "", "actor": "me"})
        changes = node.keeper.writer.changes(held.shard)
        changes.messages.append(Message(second, "pause:1", "pause", "pause", body, node.clock.now_us()))
        changes.then.append((told.set_result, (None,)))
        loading._reader.messages = slowly

    node.dispatcher._give = give_and_pause
    await node.go(first)
    await told
    await node.engine.resume(second, "go", "me", Decision(verb=Verb.RESUME, at_us=0))
    reading.set()
    await begun(node, second)
