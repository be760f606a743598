"""Whatever happened before, retention drops what is closed, over its time and needed by nobody, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from rco.audit.chain import ChainSealer
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.message import Message
from rco.model.retention import RetentionClass, RetentionOptions, RunRule
from rco.model.run import Mode, Outcome, RunRow, fork_prefix
from rco.operations.retention import Retention
from rco.store.contract.changes import Admission, Changes, Ended, StartKey
from rco.store.contract.retaining import Removed
from rco.testing.database import ModelDatabase
from rco.testing.store import ModelKeeper

KEEP_S = {"a": 10.0, "b": 100.0, "c": None}
"""By workflow, which are their classes, too."""
OPTIONS = RetentionOptions(
    classes={name: RetentionClass(keep_s=keep_s) for name, keep_s in KEEP_S.items()},
    runs=[RunRule(workflow="a", outcome="failed", keep="b"), *(RunRule(workflow=name, keep=name) for name in KEEP_S)],
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from("abcd"), st.integers(0, 99)),
        st.tuples(st.just("child"), st.sampled_from("ab"), st.integers(0, 99)),
        st.tuples(st.just("fork"), st.sampled_from("ab"), st.integers(0, 99)),
        st.tuples(st.just("signal"), st.just(""), st.integers(0, 99)),
        st.tuples(st.just("close"), st.sampled_from(["completed", "failed"]), st.integers(0, 99)),
        st.tuples(st.just("pass"), st.just(""), st.sampled_from([1, 9, 11, 60, 120])),
        st.tuples(st.just("drop"), st.just(""), st.just(0)),
    ),
    max_size=40,
)


class Clock:
    at_us = 1_800_000_000_000_000

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return self.at_us / 1e6


@dataclass
class Told:
    """What was done, kept beside the keeper."""

    workflow: str
    parent: bytes | None = None
    origin: bytes | None = None
    closed_us: int | None = None
    outcome: str = ""
    signals: int = 0
    dropped: bool = field(default=False)

    def over(self, now_us: int) -> bool:
        kept = KEEP_S.get("b" if (self.workflow, self.outcome) == ("a", "failed") else self.workflow)
        return self.closed_us is not None and kept is not None and self.closed_us + kept * 1e6 <= now_us


async def live_through(steps: list[tuple[str, str, int]]) -> None:
    clock = Clock()
    ids = Ids(clock)
    database = ModelDatabase(ChainSealer(), clock.monotonic)
    keeper = ModelKeeper(database, clock=clock, node="n.1", pid=1)
    await keeper.start()
    retention = Retention(keeper.retaining, OPTIONS)
    known: dict[bytes, Told] = {}

    async def admit(**parts: object) -> None:
        future = asyncio.get_running_loop().create_future()
        keeper.writer.changes(0).admissions.append(
            Admission(done=future.set_result, failed=future.set_exception, **parts)  # type: ignore[arg-type]
        )
        await future

    async def begin(workflow: str, told: Told, key: StartKey | None = None, run_id: bytes | None = None) -> None:
        run_id = run_id or ids.uuid7()
        row = RunRow(
            run_id=run_id, workflow=workflow, version="1", mode=Mode.HOT, opened_us=clock.at_us, parent=told.parent
        )
        known[run_id] = told
        await admit(opened=[(row, b"start")], start_keys=[key] if key else [])

    for what, text, number in steps:
        alive = [one for one, told in known.items() if not told.dropped]
        open_now = [one for one in alive if known[one].closed_us is None]
        if what == "open":
            await begin(text, Told(text))
        elif what == "child" and open_now:
            await begin(text, Told(text, parent=open_now[number % len(open_now)]))
        elif what == "fork" and alive:
            origin, run_id = alive[number % len(alive)], ids.uuid7()
            key = StartKey("default", fork_prefix(origin) + run_id.hex(), b"r" * 32, run_id)
            await begin(text, Told(text, origin=origin), key, run_id)
        elif what == "signal" and open_now:
            run_id = open_now[number % len(open_now)]
            known[run_id].signals += 1
            await admit(messages=[Message(run_id, ids.ulid(), "signal", "s", b"\xc0", clock.at_us)])
        elif what == "close" and open_now:
            run_id = open_now[number % len(open_now)]
            known[run_id].closed_us, known[run_id].outcome = clock.at_us, text
            done = asyncio.get_running_loop().create_future()
            changes: Changes = keeper.writer.changes(0)
            changes.ended.append(Ended(run_id, Outcome(text), clock.at_us))
            changes.then.append((done.set_result, (None,)))
            await done
        elif what == "pass":
            clock.at_us += number * 1_000_000
        elif what == "drop":
            await drop(keeper, retention, known, clock.at_us)
    await keeper.stop()


async def drop(keeper: ModelKeeper, retention: Retention, known: dict[bytes, Told], now_us: int) -> None:
    going = [row.run_id async for row in retention._over(now_us)]
    there = {one: told for one, told in known.items() if not told.dropped}
    # What nobody needs, said from what was done and not from what the keeper holds.
    needed = {told.origin for told in there.values()}
    needed |= {told.parent for told in there.values() if told.closed_us is None}
    needed |= {one for one, told in there.items() if told.parent in there and there[told.parent].closed_us is None}
    needed |= {one for one, told in there.items() if told.signals}
    wanted = {one for one, told in there.items() if told.over(now_us) and one not in needed}
    assert set(going) == wanted

    def record(removed: Removed) -> Decision:
        return Decision(verb=Verb.TRIM, at_us=now_us, facts={"runs": removed.runs})

    # Also when all there is is asked for, only what is closed and needed by nobody goes; here what is over.
    removed = await keeper.retaining.drop_runs(going, record)
    assert removed.runs == len(going)
    for one in going:
        known[one].dropped = True
        assert await keeper.reader.journal(one) == []
    for one, told in known.items():
        assert (await keeper.reader.run(one) is None) == told.dropped


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_nothing_goes_before_its_time_and_nothing_open_ever(steps: list[tuple[str, str, int]]) -> None:
    asyncio.run(live_through(steps))
