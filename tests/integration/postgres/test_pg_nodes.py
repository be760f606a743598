"""Several nodes on one database: who owns what, and what becomes of it when one comes, goes or dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rco.audit.chain import ChainSealer
from rco.errors import Fenced, StoreLocked
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.store.contract.changes import Changes, Draft
from rco.store.opening import start_keeper
from rco.store.options import StoreOptions
from rco.store.postgres import PostgresOptions
from rco.store.postgres.ownership import winner

ALL = frozenset(range(256))


def share(name: str, *nodes: str) -> frozenset[int]:
    return frozenset(shard for shard in range(256) if winner(shard, list(nodes)) == name)


async def test_the_first_node_owns_everything_at_once(make_node: Any) -> None:
    node = make_node("a")
    await node.keeper.start()
    assert node.ownership.shards() == ALL
    assert node.ownership.place(77) == 77
    assert node.ownership.act_until_s > node.clock.monotonic()


async def test_a_second_node_is_handed_its_share_and_what_was_appended_is_flushed_first(make_node: Any) -> None:
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    theirs = share("b", "a", "b")
    assert 90 < len(theirs) < 166
    shard = min(theirs)
    run_id = await one.open(shard)
    appended = asyncio.get_running_loop().create_future()

    def last_word(shards: frozenset[int]) -> None:
        # What is appended while the shard is leaving is still flushed under the old epoch.
        if shard in shards:
            changes = one.writer.changes(shard)
            changes.drafts.append(draft_of(run_id, 1))
            changes.then.append((appended.set_result, (None,)))

    one.ownership.on_leaving(last_word)
    seen: list[int] = []

    def look(shards: frozenset[int]) -> None:
        if shard in shards:
            seen.append(1 if appended.done() else 0)

    two.ownership.on_gained(look)
    await two.keeper.start()
    await two.until(lambda: two.ownership.shards() == theirs)
    assert one.ownership.shards() == ALL - theirs
    assert seen == [1]
    assert [s.first_seq for s in await two.reader.journal(run_id)] == [0, 1]
    # The new owner goes on, the old one cannot.
    await two.commit(lambda c: c.drafts.append(draft_of(run_id, 2)), shard)
    with pytest.raises(Fenced):
        await one.commit(lambda c: c.drafts.append(draft_of(run_id, 3)), shard)
    # The others of its shards go on, loaded anew.
    kept = min(share("a", "a", "b"))
    assert one.ownership.owns(kept)
    await one.open(kept)
    assert one.failures == []


def draft_of(run_id: bytes, first_seq: int) -> Any:
    made = Draft(run_id, first_seq)
    made.parts.append(b"x%d" % first_seq)
    return made


async def test_a_node_that_stops_leaves_everything_to_the_others_at_once(make_node: Any) -> None:
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    await two.keeper.start()
    await two.until(lambda: two.ownership.shards() == share("b", "a", "b"))
    await one.keeper.stop()
    await two.until(lambda: two.ownership.shards() == ALL)
    assert one.left[-1] == share("a", "a", "b")


async def test_a_killed_node_is_replaced_when_its_lease_has_run_out(
    make_node: Any, kill: Callable[[Any], None]
) -> None:
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    await two.keeper.start()
    mine = share("a", "a", "b")
    await two.until(lambda: two.ownership.shards() == ALL - mine)
    run_id = await one.open(min(mine))
    act_until_s = one.ownership.act_until_s
    kill(one)
    await two.until(lambda: two.ownership.shards() == ALL)
    # Not before the former owner has stopped acting by its own clock.
    assert two.clock.monotonic() > act_until_s
    await two.commit(lambda c: c.drafts.append(draft_of(run_id, 1)), min(mine))


async def test_a_node_that_slept_longer_than_its_lease_appends_nothing(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    """As after SIGSTOP and SIGCONT: it believes that it owns what was taken over meanwhile."""
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    await two.keeper.start()
    mine = share("a", "a", "b")
    await two.until(lambda: two.ownership.shards() == ALL - mine)
    shard = min(mine)
    run_id = await one.open(shard)
    leases: Any = one.keeper._leases
    leases._task.cancel()
    await two.until(lambda: two.ownership.shards() == ALL)
    assert one.clock.monotonic() > one.ownership.act_until_s
    assert one.ownership.owns(shard)
    with pytest.raises(Fenced):
        await one.commit(lambda c: c.drafts.append(draft_of(run_id, 1)), shard)
    assert shard in one.left[-1] or any(shard in left for left in one.left)
    assert [s.first_seq for s in await two.reader.journal(run_id)] == [0]
    # It found out what it lost, and lives on: with its heart beating again it is given its share back.
    assert one.failures == []
    leases.begin()
    await one.until(lambda: one.ownership.shards() == mine)
    await one.commit(lambda c: c.drafts.append(draft_of(run_id, 1)), shard)


async def test_nothing_of_a_fenced_batch_is_written_and_everybody_is_told(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    node = make_node("a")
    await node.keeper.start()
    # Of one flusher; the second stays with us although another node comes.
    taken = min(share("x", "a", "x"))
    ours = next(shard for shard in sorted(share("a", "a", "x")) if shard % 2 == taken % 2)
    lost, kept = await node.open(taken), await node.open(ours)
    postgres_server.query(postgres_database, "UPDATE lease SET owner = 'x', epoch = epoch + 1 WHERE shard = $1", taken)
    postgres_server.query(
        postgres_database,
        "INSERT INTO node (name, boot_id, epoch, pid, started_us, alive_until)"
        " VALUES ('x', '', 1, 1, 1, now() + interval '1 hour')",
    )
    told: list[BaseException] = []

    def fill(changes: Changes) -> None:
        changes.drafts += [draft_of(lost, 1), draft_of(kept, 1)]
        changes.messages.append(node.message(kept))
        changes.lost.append(told.append)

    with pytest.raises(Fenced):
        await node.commit(fill, ours)
    assert [type(error) for error in told] == [Fenced]
    for run_id in (lost, kept):
        assert [s.first_seq for s in await node.reader.journal(run_id)] == [0]
    assert await node.reader.messages(kept) == []
    # Both were let go of; the one still owned was to be loaded again, and can be written.
    assert any({taken, ours} <= shards for shards in node.left)
    assert any(ours in shards and taken not in shards for shards in node.gained[1:])
    await node.commit(lambda c: c.drafts.append(draft_of(kept, 1)), ours)


async def test_no_two_processes_have_one_name(make_node: Any, kill: Callable[[Any], None]) -> None:
    first, second = make_node("a"), make_node("a")
    await first.keeper.start()
    with pytest.raises(StoreLocked):
        await second.keeper.start()
    # A dead one's name is free at once: its session is gone, whatever its lease says.
    kill(first)
    third = make_node("a")
    await third.keeper.start()
    assert third.ownership.shards() == ALL
    assert third.keeper.epoch == 2


async def test_a_host_s_nodes_take_the_first_name_that_nobody_lives_under(
    make_node: Any, kill: Callable[[Any], None], postgres_dsn: str
) -> None:
    async def start(**given: Any) -> tuple[Any, str]:
        clock = SystemClock()
        return await start_keeper(
            postgres_dsn,
            clock=clock,
            ids=Ids(clock),
            sealer=ChainSealer(),
            host="h",
            options=StoreOptions(lease_ttl_s=30, **given),
        )

    first = make_node("h", PostgresOptions(ttl_s=30))
    await first.keeper.start()
    second, name = await start()
    assert name == "h-2"
    with pytest.raises(StoreLocked, match="h-2"):
        await start(node="h-2")
    await second.stop()
    # Long before its lease would have run out: killed and started again it is itself, and has its shards.
    kill(first)
    again, name = await start()
    try:
        assert (name, again.ownership.shards()) == ("h", ALL)
    finally:
        await again.stop()


async def test_who_lost_its_name_writes_nothing_not_even_what_concerns_no_shard(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    node = make_node("a", PostgresOptions())
    await node.keeper.start()
    await node.open(0)
    postgres_server.query(postgres_database, "UPDATE node SET boot_id = 'another'")
    with pytest.raises(Fenced):
        await node.admit(event=node.event("e", "s"))
    assert await node.reader.event("default", "e") is None
    # This is no loss of some shards: the process has to stop.
    assert [type(error) for error in node.failures] == [Fenced]
    assert node.ownership.shards() == frozenset()


async def test_a_message_for_another_node_s_run_is_told_to_it(make_node: Any) -> None:
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    await two.keeper.start()
    await two.until(lambda: two.ownership.shards() == share("b", "a", "b"))
    run_id = await two.open(min(share("b", "a", "b")))
    assert (await one.admit(messages=[one.message(run_id)])).status == "accepted"
    await two.until(lambda: run_id in two.mail)
    assert run_id not in one.mail


async def test_messages_are_found_without_notifications(make_node: Any) -> None:
    """Behind a transaction pooler nothing can be listened to."""
    pooled = msgspec.structs.replace(
        PostgresOptions(heartbeat_s=0.15, ttl_s=0.9, margin_s=0.2, poll_s=0.1), pooler=True
    )
    one, two = make_node("a", pooled), make_node("b", pooled)
    await one.keeper.start()
    await two.keeper.start()
    await two.until(lambda: two.ownership.shards() == share("b", "a", "b"))
    run_id = await two.open(min(share("b", "a", "b")))
    assert (await one.admit(messages=[one.message(run_id)])).status == "accepted"
    await two.until(lambda: run_id in two.mail)
    # Told once: a message that stays unread is no reason to load its run again and again.
    another = await two.open(max(share("b", "a", "b")))
    told = two.mail.count(run_id)
    await one.admit(messages=[one.message(another)])
    await two.until(lambda: another in two.mail)
    assert two.mail.count(run_id) == told


async def test_old_mail_of_a_shard_is_told_to_who_takes_it_over(make_node: Any, monkeypatch: Any) -> None:
    """The slow look goes back only so far; who takes a shard over looks at all of it."""
    monkeypatch.setattr("rco.store.postgres.mail._WINDOW_S", 0.0)
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    await two.keeper.start()
    await two.until(lambda: two.ownership.shards() == share("b", "a", "b"))
    run_id, later = await one.open(min(share("a", "a", "b"))), await two.open(min(share("b", "a", "b")))
    await one.admit(messages=[one.message(run_id)])
    for number in range(4):
        # Each is newer, and moves the mark from which the other node looks.
        await one.admit(messages=[one.message(later, f"m{number}")])
        await two.until(lambda number=number: two.mail.count(later) > number)
    assert two.keeper._mail._low > 1
    await one.keeper.stop()
    await two.until(lambda: run_id in two.mail)


async def test_mail_that_came_while_nobody_owned_the_run_is_told_to_who_takes_it_over(
    make_node: Any, kill: Callable[[Any], None]
) -> None:
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    run_id = await one.open(3)
    kill(one)
    await two.keeper.start()
    assert (await two.admit(messages=[two.message(run_id)])).status == "accepted"
    await two.until(lambda: two.ownership.shards() == ALL)
    await two.until(lambda: run_id in two.mail)


async def test_mail_that_was_found_before_anybody_listened_is_told_to_who_does(make_node: Any) -> None:
    one = make_node("a")
    await one.keeper.start()
    run_id = await one.open(9)
    await one.commit(lambda changes: changes.messages.append(one.message(run_id)))
    await one.keeper.stop()
    again = make_node("a")
    await again.keeper.start()
    # A keeper begins long before there is an engine, and has looked meanwhile.
    await again.until(lambda: run_id in again.mail)
    await again.keeper._mail._find()
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    again.keeper.on_mail(lambda found: found == run_id and not told.done() and told.set_result(None))
    await asyncio.wait_for(told, 30)


async def test_what_was_added_before_a_shard_was_lost_is_not_written_when_it_has_come_back(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    """As after an outage: collected under one epoch, lost, given back under a later one, and only then sent."""
    node = make_node("a")
    await node.keeper.start()
    run_id, other = await node.open(0), await node.open(2)
    epoch = node.ownership.epochs[0]
    for place, busy in (("collecting", False), ("behind a flush", True)):
        # Nothing is handed over before this turn of the loop ends.
        if busy:
            first = asyncio.ensure_future(node.commit(lambda c: c.drafts.append(draft_of(other, 1)), 2))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        late = asyncio.ensure_future(node.commit(lambda c: c.drafts.append(draft_of(run_id, 1)), 0))
        await asyncio.sleep(0)
        node.ownership.lose(frozenset({0}))
        epoch += 1
        postgres_server.query(postgres_database, "UPDATE lease SET epoch = $1 WHERE shard = 0", epoch)
        node.ownership.gain({0: epoch})
        with pytest.raises(Fenced):
            await late
        if busy:
            await first
        assert [s.first_seq for s in await node.reader.journal(run_id)] == [0], place
    # What comes later is of the new tenure.
    await node.commit(lambda c: c.drafts.append(draft_of(run_id, 1)), 0)
    assert node.failures == []
