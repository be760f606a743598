"""A turn in a queue names the shard of its queue: who has lost that shard gives none, whatever it wrote them for."""

from __future__ import annotations

from typing import Any

import pytest

from rco.errors import Fenced
from rco.model.decision import Decision, Verb
from rco.model.message import NOTHING, Message
from rco.model.queue import ItemState, Place, queue_shard
from rco.store.contract.changes import Changes
from rco.store.contract.queues import ItemChange, ItemDone


async def test_a_turn_that_was_chosen_before_a_take_over_is_not_given_after_it(make_node: Any) -> None:
    """As after SIGSTOP between choosing and committing: the runs are nobody's here, so nothing else of the turn is
    fenced. The new owner has given the one turn that there is."""
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    await two.keeper.start()
    await two.until(lambda: bool(two.ownership.shards()) and bool(one.ownership.shards()))
    mine = one.ownership.shards()
    queue = next(name for number in range(1000) if queue_shard(name := f"q{number}") in mine)
    shard = queue_shard(queue)
    theirs = min(two.ownership.shards())
    rows = [two.row(theirs, place=Place(queue, "k", 5)) for _ in range(2)]
    for row in rows:
        await two.admit(theirs, opened=[(row, b"start")])
    leases: Any = one.keeper._leases
    leases._task.cancel()
    await two.until(lambda: shard in two.ownership.shards())
    assert one.ownership.owns(shard)

    def turn(run_id: bytes) -> Any:
        def fill(changes: Changes) -> None:
            changes.queues.append(ItemChange(run_id, queue, ItemDone.GRANT, 9))
            changes.messages.append(Message(run_id, "begin", "begin", "begin", NOTHING, 9))
            changes.decisions.append(Decision(verb=Verb.DISPATCH, at_us=9, subject=queue))

        return fill

    await two.commit(turn(rows[0].run_id), shard)
    with pytest.raises(Fenced):
        await one.commit(turn(rows[1].run_id), shard)
    assert [item.run_id for item in await two.reader.queue_running(queue)] == [rows[0].run_id]
    item = await two.reader.queue_item(rows[1].run_id)
    assert item is not None
    assert item.state == ItemState.WAITING
    assert await two.reader.messages(rows[1].run_id) == []
    # It has found out, and lives on.
    assert one.failures == []
