"""Which objects are referred to: known with the commit that refers, and for as long as what refers is there."""

from __future__ import annotations

import os

import msgspec
import pytest
from tests.conformance.test_keeper_schedules import change, put, remove
from tests.conformance.test_keeper_schedules import row as schedule_row
from tests.conformance.test_keeper_schedules import status as schedule_status

from rco.model.decision import Decision, Verb
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.run import Outcome
from rco.store.contract.changes import Changes, Claim, Ended
from rco.store.contract.payloads import PayloadUse, UserKind
from rco.store.contract.retaining import Removed

DAY_US = 86_400_000_000


def names(count: int) -> list[bytes]:
    return [os.urandom(16) for _ in range(count)]


def record(removed: Removed) -> Decision:
    return Decision(verb=Verb.TRIM, at_us=7, subject="retention", facts={"runs": removed.runs})


async def refer(keeper, desk, *uses: PayloadUse) -> None:
    def fill(changes: Changes) -> None:
        changes.decisions.append(desk.decision())
        changes.payloads.extend(uses)

    await desk.commit(keeper.writer, fill)


async def end(keeper, desk, run_id: bytes) -> None:
    def fill(changes: Changes) -> None:
        changes.drafts.append(desk.draft(run_id, 1, b"close"))
        changes.ended.append(Ended(run_id, Outcome.COMPLETED, desk.clock.at_us))

    await desk.commit(keeper.writer, fill)


async def test_a_run_holds_what_it_refers_to_open_and_closed_and_until_it_is_dropped(keeper, desk) -> None:
    mine, both, nobodys = names(3)
    assert not await keeper.reader.any_payloads()
    run_id, other = await desk.open(keeper.writer), await desk.open(keeper.writer)
    await refer(keeper, desk, *(PayloadUse(name, UserKind.RUN, run_id) for name in (mine, both)))
    await refer(keeper, desk, PayloadUse(both, UserKind.RUN, other), PayloadUse(mine, UserKind.RUN, run_id))
    every = [mine, both, nobodys]
    assert await keeper.reader.any_payloads()
    assert await keeper.reader.payloads_used(every) == {mine, both}
    await end(keeper, desk, run_id)
    assert await keeper.reader.payloads_used(every) == {mine, both}
    desk.clock.at_us += DAY_US
    assert (await keeper.retaining.drop_runs([run_id], record)).runs == 1
    assert await keeper.reader.payloads_used(every) == {both}
    # What is used is not forgotten, whoever asks for it.
    await keeper.reader.forget_payloads(every)
    assert await keeper.reader.payloads_used(every) == {both}
    await end(keeper, desk, other)
    assert (await keeper.retaining.drop_runs([other], record)).runs == 1
    await keeper.reader.forget_payloads(every)
    assert not await keeper.reader.any_payloads()


async def test_a_use_by_what_never_came_to_be_counts_for_nothing(keeper, desk) -> None:
    name, again = names(2)
    claim = Claim(b"c" * 32, "corr", desk.clock.at_us + DAY_US)
    assert (await desk.admit(keeper.writer, claim=claim)).status == "accepted"
    row = desk.row()
    keeper.writer.changes(0).payloads.append(PayloadUse(name, UserKind.RUN, row.run_id))
    refused = await desk.admit(keeper.writer, claim=claim, opened=[(row, b"start")])
    assert refused.status == "duplicate"
    assert await keeper.reader.payloads_used([name]) == set()
    # Accepted, it counts from the very commit that opens the run.
    row = desk.row()
    keeper.writer.changes(0).payloads.append(PayloadUse(again, UserKind.RUN, row.run_id))
    assert (await desk.admit(keeper.writer, opened=[(row, b"start")])).status == "accepted"
    assert await keeper.reader.payloads_used([name, again]) == {again}


@pytest.mark.parametrize("id", ["e-1", "naïve ☃ id", "nul\0inside", "x" * 300])
async def test_an_event_and_a_letter_hold_theirs(keeper, desk, id: str) -> None:
    of_event, of_letter, elsewhere = names(3)
    event = desk.event(id)
    letter = DeadLetter(letter_id=desk.id(), event=event, subscription="s", cause="c", at_us=desk.clock.at_us)
    keeper.writer.changes(0).payloads.extend(
        [
            PayloadUse(of_event, UserKind.EVENT, id.encode()),
            PayloadUse(of_letter, UserKind.LETTER, letter.letter_id),
            PayloadUse(elsewhere, UserKind.EVENT, id.encode(), "other"),
        ]
    )
    await desk.admit(keeper.writer, event=event, letters=[letter])
    assert await keeper.reader.payloads_used([of_event, of_letter, elsewhere]) == {of_event, of_letter}
    await desk.commit(
        keeper.writer, lambda changes: changes.letters_replayed.append((letter.letter_id, desk.clock.at_us))
    )
    desk.clock.at_us += DAY_US
    assert (await keeper.retaining.drop_events(desk.clock.at_us, 10, record)).events == 1
    assert await keeper.reader.payloads_used([of_event, of_letter]) == {of_letter}
    assert (await keeper.retaining.drop_letters(desk.clock.at_us, 10, record)).letters == 1
    assert await keeper.reader.payloads_used([of_event, of_letter]) == set()


async def test_a_schedule_holds_the_input_that_its_row_names(keeper, desk) -> None:
    before, after = names(2)
    row = schedule_row("s", payload=before)
    keeper.writer.changes(0).payloads.append(PayloadUse(before, UserKind.SCHEDULE, row.schedule_id))
    assert await schedule_status(keeper, put(row)) == "accepted"
    read = await keeper.reader.schedule(row.schedule_id)
    assert read == row
    assert await keeper.reader.payloads_used([before, after]) == {before}
    # Its next tick keeps it; another input takes its place.
    assert await schedule_status(keeper, change(row, due_us=7)) == "accepted"
    assert await keeper.reader.payloads_used([before, after]) == {before}
    row = msgspec.structs.replace(row, revision=2)
    keeper.writer.changes(0).payloads.append(PayloadUse(after, UserKind.SCHEDULE, row.schedule_id))
    assert await schedule_status(keeper, change(row, payload=after)) == "accepted"
    assert await keeper.reader.payloads_used([before, after]) == {after}
    await keeper.reader.forget_payloads([before, after])
    row = msgspec.structs.replace(row, revision=3, payload=after)
    assert await keeper.reader.payloads_used([before, after]) == {after}
    # A change that comes too late says nothing of what is used.
    (late,) = names(1)
    keeper.writer.changes(0).payloads.append(PayloadUse(late, UserKind.SCHEDULE, row.schedule_id))
    assert await schedule_status(keeper, change(msgspec.structs.replace(row, revision=1), payload=late)) != "accepted"
    assert await keeper.reader.payloads_used([after, late]) == {after}
    assert await schedule_status(keeper, remove(row)) == "accepted"
    assert await keeper.reader.payloads_used([before, after, late]) == set()


async def test_a_signal_nobody_read_holds_its_own_with_its_closed_run(keeper, desk) -> None:
    (name,) = names(1)
    run_id = await desk.open(keeper.writer)
    message = Message(run_id, "m", "signal", "go", b"\xc0", desk.clock.at_us)
    keeper.writer.changes(0).payloads.append(PayloadUse(name, UserKind.RUN, run_id))
    await desk.admit(keeper.writer, messages=[message])
    await end(keeper, desk, run_id)
    desk.clock.at_us += 10_000 * DAY_US
    assert (await keeper.retaining.drop_runs([run_id], record)).runs == 0
    assert await keeper.reader.payloads_used([name]) == {name}


async def test_the_space_is_the_databases_own_and_stays(keeper, reopen) -> None:
    space = await keeper.reader.payload_space()
    assert len(space) == 16
    int(space, 16)
    assert await (await reopen()).reader.payload_space() == space


async def test_many_are_asked_for_at_once(keeper, desk) -> None:
    every = names(700)
    run_id = await desk.open(keeper.writer)
    await refer(keeper, desk, *(PayloadUse(name, UserKind.RUN, run_id) for name in every[::2]))
    assert await keeper.reader.payloads_used(every) == set(every[::2])
    assert await keeper.reader.payloads_used([]) == set()
