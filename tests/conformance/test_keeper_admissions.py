"""What comes from outside is written only if its conditions hold, and then all of it."""

from __future__ import annotations

import asyncio

from rco.model.letter import DeadLetter
from rco.model.run import Outcome
from rco.store.contract.changes import Admitted, Claim, Ended, StartKey

DAY_US = 86_400_000_000


def _claim(desk, number: int = 1, *, corr_id: str = "corr-a", expires_us: int | None = None) -> Claim:
    return Claim(number.to_bytes(32, "big"), corr_id, expires_us or desk.clock.at_us + DAY_US)


async def test_an_accepted_delivery_writes_everything(keeper, desk):
    row, event = desk.row(corr_id="corr-a", key="k"), desk.event()
    letter = DeadLetter(letter_id=desk.id(), event=event, subscription="s", cause="no such workflow", at_us=1)
    waiting = await desk.open(keeper.writer)
    verdict = await desk.admit(
        keeper.writer,
        claim=_claim(desk),
        start_keys=[StartKey("default", "k", b"request", row.run_id)],
        event=event,
        opened=[(row, b"start")],
        messages=[desk.message(waiting)],
        letters=[letter],
        accepted=[desk.decision("taken in")],
        duplicate=[desk.decision("twice")],
        otherwise=[desk.decision("refused")],
    )
    assert verdict == Admitted("accepted")
    reader = keeper.reader
    assert await reader.run(row.run_id) == row
    assert [(s.first_seq, s.data) for s in await reader.journal(row.run_id)] == [(0, b"start")]
    assert await reader.key_holder("default", "k") == row.run_id
    assert await reader.event("default", "e") == event
    assert await reader.letter(letter.letter_id) == letter
    assert await reader.messages(waiting) == [desk.message(waiting)]
    head = await reader.head()
    assert b"taken in" in head.decisions
    assert b"twice" not in head.decisions
    assert b"refused" not in head.decisions
    assert len(head.leaves) == 32


async def test_concurrent_repeats_of_a_delivery_start_one_run(keeper, desk):
    """All in one batch: the first is accepted, the others are told its correlation id."""
    writer = keeper.writer
    futures = []
    changes = writer.changes(0)
    rows = [desk.row() for _ in range(5)]
    for at, row in enumerate(rows):
        admission, future = desk.admission(
            claim=_claim(desk, corr_id=f"corr-{at}"),
            event=desk.event(f"e{at}"),
            opened=[(row, b"start")],
            accepted=[desk.decision("first")],
            duplicate=[desk.decision("repeat")],
        )
        changes.admissions.append(admission)
        futures.append(future)
    verdicts = await asyncio.gather(*futures)
    assert verdicts[0] == Admitted("accepted")
    assert verdicts[1:] == [Admitted("duplicate", corr_id="corr-0")] * 4
    assert [await keeper.reader.run(row.run_id) for row in rows] == [rows[0], None, None, None, None]
    assert [event.id for _, event in await keeper.reader.events("default", None, None, 10)] == ["e0"]
    decisions = (await keeper.reader.head()).decisions
    assert (decisions.count(b'"first"'), decisions.count(b'"repeat"')) == (1, 4)


async def test_a_claim_outlives_a_restart(keeper, desk, reopen):
    assert (await desk.admit(keeper.writer, claim=_claim(desk))).status == "accepted"
    again = await reopen()
    verdict = await desk.admit(again.writer, claim=_claim(desk, corr_id="corr-b"))
    assert verdict == Admitted("duplicate", corr_id="corr-a")


async def test_an_expired_claim_is_free(keeper, desk):
    assert (await desk.admit(keeper.writer, claim=_claim(desk))).status == "accepted"
    desk.clock.at_us += DAY_US - 1
    assert (await desk.admit(keeper.writer, claim=_claim(desk))).status == "duplicate"
    desk.clock.at_us += 1
    assert (await desk.admit(keeper.writer, claim=_claim(desk, corr_id="corr-b"))).status == "accepted"
    assert await desk.admit(keeper.writer, claim=_claim(desk)) == Admitted("duplicate", corr_id="corr-b")


async def test_expired_claims_do_not_gather_and_live_ones_stay(keeper, desk):
    """Thousands of claims come and expire; those that still count are never swept away with them."""

    async def many(first: int, count: int, expires_us: int) -> list[str]:
        futures = []
        changes = keeper.writer.changes(0)
        for number in range(first, first + count):
            # Spread over the whole key space, as digests are.
            spread = (number * 0x9E3779B97F4A7C15 % (1 << 64)) << 192
            admission, future = desk.admission(claim=_claim(desk, spread, expires_us=expires_us))
            changes.admissions.append(admission)
            futures.append(future)
        return [verdict.status for verdict in await asyncio.gather(*futures)]

    live_until = desk.clock.at_us + 100 * DAY_US
    assert set(await many(0, 700, live_until)) == {"accepted"}
    assert set(await many(700, 2400, desk.clock.at_us + 1)) == {"accepted"}
    desk.clock.at_us += 2
    for turn in range(3):
        assert set(await many(10_000 + turn * 600, 600, live_until)) == {"accepted"}
    assert set(await many(0, 700, live_until)) == {"duplicate"}
    assert set(await many(700, 2400, live_until)) == {"accepted"}


async def test_the_same_start_is_the_same_run(keeper, desk):
    rows = [desk.row() for _ in range(3)]

    def parts(at: int, request: bytes):
        return {
            "start_keys": [StartKey("default", "k", request, rows[at].run_id)],
            "opened": [(rows[at], b"start")],
            "duplicate": [desk.decision("same")],
            "otherwise": [desk.decision("other")],
        }

    assert (await desk.admit(keeper.writer, **parts(0, b"one"))).status == "accepted"
    assert await desk.admit(keeper.writer, **parts(1, b"one")) == Admitted("duplicate", run_id=rows[0].run_id)
    assert b"same" in (await keeper.reader.head()).decisions
    assert await desk.admit(keeper.writer, **parts(2, b"two")) == Admitted("conflict", run_id=rows[0].run_id)
    assert b"other" in (await keeper.reader.head()).decisions
    assert (await keeper.reader.count_open())[rows[0].mode] == 1
    elsewhere = desk.row(namespace="tenant")
    key = StartKey("tenant", "k", b"two", elsewhere.run_id)
    assert (await desk.admit(keeper.writer, start_keys=[key], opened=[(elsewhere, b"start")])).status == "accepted"


async def test_the_same_start_twice_in_one_batch(keeper, desk):
    rows = [desk.row() for _ in range(3)]
    changes = keeper.writer.changes(0)
    futures = []
    for row, request in zip(rows, (b"one", b"one", b"two"), strict=True):
        admission, future = desk.admission(
            start_keys=[StartKey("default", "k", request, row.run_id)], opened=[(row, b"start")]
        )
        changes.admissions.append(admission)
        futures.append(future)
    first = rows[0].run_id
    assert await asyncio.gather(*futures) == [
        Admitted("accepted"),
        Admitted("duplicate", run_id=first),
        Admitted("conflict", run_id=first),
    ]


async def test_a_key_of_a_child_holds_for_starts_in_the_same_batch_and_later(keeper, desk):
    child = desk.row()
    changes = keeper.writer.changes(0)
    changes.opened.append(child)
    changes.start_keys.append(StartKey("default", "child", b"one", child.run_id))
    admission, future = desk.admission(start_keys=[StartKey("default", "child", b"one", desk.id())])
    changes.admissions.append(admission)
    assert await future == Admitted("duplicate", run_id=child.run_id)
    later = await desk.admit(keeper.writer, start_keys=[StartKey("default", "child", b"two", desk.id())])
    assert later == Admitted("conflict", run_id=child.run_id)


async def test_the_claim_is_asked_before_the_start_key(keeper, desk):
    run_id = desk.id()
    parts = {"claim": _claim(desk), "start_keys": [StartKey("default", "k", b"one", run_id)]}
    assert (await desk.admit(keeper.writer, **parts)).status == "accepted"
    assert await desk.admit(keeper.writer, **parts) == Admitted("duplicate", corr_id="corr-a")


async def test_a_refused_start_leaves_its_claim_free(keeper, desk):
    """Nothing of a refused admission is written: the delivery may come again with another key."""
    held = StartKey("default", "k", b"one", desk.id())
    await desk.admit(keeper.writer, start_keys=[held])
    refused = await desk.admit(
        keeper.writer, claim=_claim(desk), start_keys=[StartKey("default", "k", b"two", desk.id())], event=desk.event()
    )
    assert refused.status == "conflict"
    assert await keeper.reader.event("default", "e") is None
    assert (await desk.admit(keeper.writer, claim=_claim(desk))).status == "accepted"


async def test_a_message_to_a_run_that_is_not_open_is_refused(keeper, desk):
    closed = await desk.open(keeper.writer)
    ending = await desk.open(keeper.writer)
    await desk.commit(keeper.writer, lambda c: c.ended.append(Ended(closed, Outcome.COMPLETED, 1)))
    changes = keeper.writer.changes(0)
    changes.ended.append(Ended(ending, Outcome.COMPLETED, 1))
    futures = []
    for run_id in (closed, ending, desk.id()):
        admission, future = desk.admission(messages=[desk.message(run_id)], otherwise=[desk.decision("too late")])
        changes.admissions.append(admission)
        futures.append(future)
    verdicts = await asyncio.gather(*futures)
    assert [verdict.status for verdict in verdicts] == ["closed"] * 3
    assert (await keeper.reader.head()).decisions.count(b"too late") == 3


async def test_a_run_opened_earlier_in_the_batch_takes_messages(keeper, desk):
    row = desk.row()
    changes = keeper.writer.changes(0)
    first, _ = desk.admission(opened=[(row, b"start")])
    second, future = desk.admission(messages=[desk.message(row.run_id)])
    changes.admissions += [first, second]
    assert (await future).status == "accepted"
    assert await keeper.reader.messages(row.run_id) == [desk.message(row.run_id)]
