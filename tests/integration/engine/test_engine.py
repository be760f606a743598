"""What authors are promised, on the real keeper, over restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from rco.engine.options import EngineOptions
from rco.errors import Cancelled, ChildFailed, Conflict, NotFound, Overloaded, StepFailed, TimedOut
from rco.kit.backoff import Backoff
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind
from rco.model.run import Mode, Outcome
from rco.workflow import Context, RetryPolicy, attempt, workflow


class Money(msgspec.Struct):
    cents: int


QUICK = RetryPolicy(5, Backoff(first_s=0.001, cap_s=0.01))


async def test_a_finished_step_never_runs_again(node: Any) -> None:
    ran: list[str] = []

    async def work(name: str) -> str:
        ran.append(name)
        return name.upper()

    @workflow
    async def two(ctx: Context, _: None) -> list[str]:
        first = await ctx.step(work, "a")
        value = await ctx.signal("go")
        second = await ctx.step(work, "b")
        return [first, value, second]

    await node.start(two)
    run_id = await node.open(two)
    await node.until(lambda: ran == ["a"])
    await node.until(lambda: _has(node, run_id, Kind.WAIT))
    await node.again()
    await node.signal(run_id, "go", 7)
    finished = await node.end(run_id)
    assert finished.outcome is Outcome.COMPLETED
    assert finished.value == ["A", 7, "B"]
    assert ran == ["a", "b"]


async def _has(node: Any, run_id: bytes, kind: Kind) -> bool:
    return any(record.kind == kind for record in await node.journal(run_id))


async def test_what_the_code_sees_live_is_what_a_replay_sees(node: Any) -> None:
    """Tuples, structs and dates become plain data at once, not only after a restart."""

    async def give() -> Any:
        return {"pair": (1, 2), "money": Money(5)}

    async def typed() -> Money:
        return Money(7)

    seen: list[Any] = []

    @workflow
    async def look(ctx: Context, _: None) -> list[Any]:
        loose = await ctx.step(give)
        money = await ctx.step(typed)
        told = [loose, type(money).__name__, money.cents, ctx.random(), str(ctx.uuid()), ctx.now().isoformat()]
        await ctx.signal("go")
        seen.append(told)
        return told

    await node.start(look)
    run_id = await node.open(look)
    await node.until(lambda: _has(node, run_id, Kind.WAIT))
    await node.again()
    await node.signal(run_id, "go")
    finished = await node.end(run_id)
    assert finished.value[0] == {"pair": [1, 2], "money": {"cents": 5}}
    assert finished.value[1:3] == ["Money", 7]
    assert seen[0] == finished.value


async def test_retries_are_durable_and_counted(node: Any) -> None:
    tries: list[tuple[int, str]] = []

    async def flaky() -> int:
        tries.append((attempt().number, attempt().idempotency_key))
        if len(tries) < 4:
            raise OSError("not yet")
        return len(tries)

    @workflow
    async def stubborn(ctx: Context, _: None) -> int:
        return await ctx.step(flaky, policy=QUICK)

    await node.start(stubborn)
    finished = await node.run(stubborn)
    assert finished.value == 4
    assert [number for number, _ in tries] == [1, 2, 3, 4]
    assert len({key for _, key in tries}) == 1, "every attempt has the same idempotency key"


async def test_a_retry_that_is_due_later_waits_over_a_restart(node: Any) -> None:
    tries: list[float] = []
    clock = node.clock

    async def flaky() -> str:
        tries.append(clock.monotonic())
        if len(tries) == 1:
            raise OSError("no")
        return "ok"

    @workflow
    async def patient(ctx: Context, _: None) -> str:
        return await ctx.step(flaky, policy=RetryPolicy(3, Backoff(first_s=0.6, jitter=0)))

    await node.start(patient)
    run_id = await node.open(patient)
    await node.until(lambda: _has(node, run_id, Kind.STEP_RETRY))
    await node.again()
    assert (await node.end(run_id)).value == "ok"
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 0.6


async def test_a_step_that_used_up_its_attempts_tells_the_workflow(node: Any) -> None:
    async def broken() -> None:
        raise KeyError("nothing here")

    @workflow
    async def careful(ctx: Context, _: None) -> list[Any]:
        try:
            await ctx.step(broken, attempts=1)
        except StepFailed as problem:
            return [problem.kind, problem.attempts, problem.step]
        return []

    await node.start(careful)
    assert (await node.run(careful)).value == ["KeyError", 1, "broken"]


async def test_a_timeout_really_cancels_the_step(node: Any) -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    @workflow
    async def hasty(ctx: Context, _: None) -> str:
        try:
            await ctx.step(slow, timeout_s=0.05, attempts=1)
        except TimedOut:
            return "late"
        return "in time"

    await node.start(hasty)
    assert (await node.run(hasty)).value == "late"
    assert ended.is_set()


async def test_a_blocking_step_runs_on_a_thread(node: Any) -> None:
    import threading

    def blocking(number: int) -> list[Any]:
        return [threading.current_thread() is not threading.main_thread(), number, len(attempt().idempotency_key)]

    @workflow
    async def threads(ctx: Context, _: None) -> list[Any]:
        return await ctx.step(blocking, 5)

    await node.start(threads)
    assert (await node.run(threads)).value == [True, 5, 32]


async def test_a_result_without_plain_form_fails_the_step_and_says_the_cure(node: Any) -> None:
    async def odd() -> object:
        return object()

    @workflow
    async def strange(ctx: Context, _: None) -> None:
        await ctx.step(odd, attempts=1)

    await node.start(strange)
    finished = await node.run(strange)
    assert finished.outcome is Outcome.FAILED
    assert "plain data" in finished.value["message"]


async def test_signals_before_the_wait_are_kept_and_each_is_taken_once(node: Any) -> None:
    @workflow
    async def collect(ctx: Context, count: int) -> list[int]:
        await ctx.signal("begin")
        return [await ctx.signal("item") for _ in range(count)]

    await node.start(collect)
    run_id = await node.open(collect, 3)
    for number in (1, 2):
        assert await node.signal(run_id, "item", number, f"m{number}")
        assert await node.signal(run_id, "item", number, f"m{number}") in (True, False)
    await node.again()
    await node.signal(run_id, "begin")
    await node.signal(run_id, "item", 1, "m1")
    await node.signal(run_id, "item", 3, "m3")
    assert (await node.end(run_id)).value == [1, 2, 3]


async def test_a_signal_to_a_closed_run_is_refused(node: Any) -> None:
    @workflow
    async def brief(ctx: Context, _: None) -> None:
        return None

    await node.start(brief)
    run_id = await node.open(brief)
    await node.end(run_id)
    with pytest.raises(NotFound):
        await node.signal(run_id, "late")


async def test_a_wait_runs_out(node: Any) -> None:
    @workflow
    async def waits(ctx: Context, _: None) -> str:
        try:
            await ctx.signal("never", timeout_s=0.2)
        except TimedOut as late:
            return str(late)
        return ""

    await node.start(waits)
    run_id = await node.open(waits)
    await node.until(lambda: _has(node, run_id, Kind.WAIT))
    await node.again()
    assert "nothing came" in (await node.end(run_id)).value


@pytest.mark.parametrize("waiter_first", [True, False])
async def test_an_emitted_event_wakes_who_waits_for_it_in_either_order(node: Any, waiter_first: bool) -> None:
    @workflow
    async def waits(ctx: Context, subject: str) -> Any:
        await ctx.signal("go")
        event = await ctx.wait_for("thing.done", subject=subject, where=".data.size > 1", timeout_s=5)
        return event["data"]

    @workflow
    async def emits(ctx: Context, subject: str) -> None:
        await ctx.emit("thing.done", {"size": 1}, subject=subject)
        await ctx.emit("thing.done", {"size": 2}, subject=subject)
        await ctx.emit("thing.done", {"size": 3}, subject="another")

    await node.start(waits, emits)
    run_id = await node.open(waits, "s1")
    if waiter_first:
        await node.signal(run_id, "go")
        await node.until(lambda: _waits_for(node, run_id))
    await node.run(emits, "s1")
    if not waiter_first:
        await node.signal(run_id, "go")
    assert (await node.end(run_id)).value == {"size": 2}


async def _waits_for(node: Any, run_id: bytes) -> bool:
    return any(record.kind == Kind.WAIT and record.body["type"] for record in await node.journal(run_id))


async def test_an_emitted_event_starts_who_subscribes_once_per_key(node: Any, start_on: Any) -> None:
    started: list[str] = []

    @workflow
    async def emits(ctx: Context, count: int) -> None:
        for _ in range(count):
            await ctx.emit("go", {}, event_id="the-same")

    @workflow
    async def follows(ctx: Context, event_id: str) -> str:
        started.append(event_id)
        return event_id

    node.starts = start_on("go", "follows")
    await node.start(emits, follows)
    await node.run(emits, 3)
    await node.until(lambda: node.engine.stats().open_in_memory == 0)
    assert started == ["the-same"]


async def test_children_answer_their_parents_over_a_restart(node: Any) -> None:
    @workflow
    async def double(ctx: Context, number: int) -> int:
        await ctx.signal("go")
        return number * 2

    @workflow
    async def family(ctx: Context, _: None) -> list[int]:
        return await ctx.gather(ctx.child(double, 1), ctx.child(double, 2))

    await node.start(double, family)
    parent = await node.open(family)
    children: list[bytes] = []

    async def born() -> bool:
        children[:] = [record.body[0] for record in await node.journal(parent) if record.kind == Kind.CHILD]
        return len(children) == 2

    await node.until(born)
    await node.again()
    for child in children:
        await node.signal(child, "go")
    assert (await node.end(parent)).value == [2, 4]


async def test_a_failed_child_is_an_error_its_parent_can_catch(node: Any) -> None:
    @workflow
    async def fails(ctx: Context, _: None) -> None:
        raise ValueError("not today")

    @workflow
    async def parent(ctx: Context, _: None) -> list[str]:
        try:
            await ctx.child(fails)
        except ChildFailed as problem:
            return [problem.outcome, str(problem)]
        return []

    await node.start(fails, parent)
    outcome, text = (await node.run(parent)).value
    assert outcome == "failed"
    assert "not today" in text


async def test_cancelling_a_parent_cancels_its_child_and_compensates_both(node: Any) -> None:
    undone: list[str] = []

    async def note(name: str) -> None:
        undone.append(name)

    async def undo(ctx: Context, name: str) -> None:
        await ctx.step(note, name)

    @workflow
    async def child(ctx: Context, _: None) -> None:
        ctx.compensate(undo, "child")
        await ctx.signal("never")

    @workflow
    async def parent(ctx: Context, _: None) -> None:
        ctx.compensate(undo, "parent")
        await ctx.child(child)

    await node.start(child, parent)
    run_id = await node.open(parent)
    await node.until(lambda: _has(node, run_id, Kind.CHILD))
    await node.cancel(run_id)
    finished = await node.end(run_id)
    assert finished.outcome is Outcome.CANCELLED
    await node.until(lambda: sorted(undone) == ["child", "parent"])


async def test_cancelling_stops_a_step_under_way(node: Any) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    @workflow
    async def stopped(ctx: Context, _: None) -> str:
        try:
            await ctx.step(long)
        except Cancelled:
            return "tidied up"
        return "ran through"

    await node.start(stopped)
    run_id = await node.open(stopped)
    await begun.wait()
    await node.cancel(run_id)
    finished = await node.end(run_id)
    await ended.wait()
    assert finished.value == "tidied up"


async def test_start_keys(node: Any) -> None:
    ran: list[int] = []

    async def note(number: int) -> None:
        ran.append(number)

    @workflow
    async def once(ctx: Context, number: int) -> int:
        await ctx.step(note, number)
        return number

    await node.start(once)
    ids = await asyncio.gather(*(node.open(once, 1, key="k") for _ in range(20)))
    assert len(set(ids)) == 1
    await node.end(ids[0])
    await node.again()
    assert await node.open(once, 1, key="k") == ids[0]
    with pytest.raises(Conflict, match="another request"):
        await node.open(once, 2, key="k")
    assert ran == [1]


async def test_code_that_changed_blocks_with_a_diff_and_goes_on_when_it_fits_again(node: Any) -> None:
    async def work(name: str) -> str:
        return name

    @workflow(name="changing")
    async def before(ctx: Context, _: None) -> str:
        await ctx.step(work, "a")
        await ctx.signal("go")
        return "before"

    @workflow(name="changing")
    async def after(ctx: Context, _: None) -> str:
        await ctx.step(work, "another")
        await ctx.signal("go")
        return "after"

    @workflow(name="changing")
    async def shorter(ctx: Context, _: None) -> str:
        return "shorter"

    await node.start(before)
    run_id = await node.open(before)
    await node.until(lambda: _has(node, run_id, Kind.WAIT))
    for changed in (after, shorter):
        await node.again(changed)
        await node.until(lambda: _in_mode(node, run_id, Mode.BLOCKED))
        row = await node.keeper.reader.run(run_id)
        told = msgspec.json.decode(row.detail)
        assert told["cause"] == "code changed"
        assert told["diff"]["recorded"]["key"] == "work"
    await node.again(before)
    await node.until(lambda: _in_mode(node, run_id, Mode.HOT))
    await node.signal(run_id, "go")
    assert (await node.end(run_id)).value == "before"


async def _in_mode(node: Any, run_id: bytes, mode: Mode) -> bool:
    row = await node.keeper.reader.run(run_id)
    return row is not None and row.mode is mode


async def test_a_blocked_run_can_be_closed_by_force(node: Any) -> None:
    @workflow
    async def misuses(ctx: Context, _: None) -> None:
        await asyncio.sleep(1)

    await node.start(misuses)
    run_id = await node.open(misuses)
    await node.until(lambda: _in_mode(node, run_id, Mode.BLOCKED))
    row = await node.keeper.reader.run(run_id)
    assert b"ctx.sleep" in row.detail
    await node.engine.terminate(row, "enough", Decision(verb=Verb.CANCEL, at_us=1))
    finished = await node.end(run_id)
    assert finished.outcome is Outcome.TERMINATED


async def test_a_step_that_may_not_be_repeated_is_in_doubt_after_a_crash(node: Any) -> None:
    begun = asyncio.Event()
    ran: list[int] = []

    async def wire_money() -> str:
        ran.append(1)
        begun.set()
        await asyncio.sleep(60)
        return "sent"

    @workflow
    async def pays(ctx: Context, _: None) -> str:
        return await ctx.step(wire_money, once=True)

    await node.start(pays)
    run_id = await node.open(pays)
    await begun.wait()
    await node.again()
    await node.until(lambda: _in_mode(node, run_id, Mode.IN_DOUBT))
    await node.again()
    assert await _in_mode(node, run_id, Mode.IN_DOUBT), "doubt outlives another restart"
    assert ran == [1]
    await node.until(lambda: node.engine.stats().open_in_memory == 1)
    decision = Decision(verb=Verb.SETTLE, at_us=1)
    with pytest.raises(NotFound):
        await node.engine.settle(run_id, "another", "done", None, "why", "me", decision)
    await node.engine.settle(run_id, "wire_money", "done", "sent by hand", "the bank says so", "me", decision)
    assert (await node.end(run_id)).value == "sent by hand"
    assert ran == [1]


@pytest.mark.parametrize(("verdict", "outcome"), [("again", Outcome.COMPLETED), ("failed", Outcome.FAILED)])
async def test_doubt_can_be_settled_otherwise(node: Any, verdict: str, outcome: Outcome) -> None:
    ran: list[int] = []

    async def slow() -> str:
        ran.append(1)
        if len(ran) == 1:
            await asyncio.sleep(60)
        return "done"

    @workflow
    async def pays(ctx: Context, _: None) -> str:
        return await ctx.step(slow, once=True, timeout_s=0.05)

    await node.start(pays)
    run_id = await node.open(pays)
    await node.until(lambda: _in_mode(node, run_id, Mode.IN_DOUBT))
    await node.engine.settle(run_id, "slow", verdict, None, "why", "me", Decision(verb=Verb.SETTLE, at_us=1))
    assert (await node.end(run_id)).outcome is outcome
    assert len(ran) == (2 if verdict == "again" else 1)


@pytest.mark.parametrize("options", [EngineOptions(open_runs_limit=3)])
async def test_a_full_engine_refuses_clearly_and_keeps_what_it_accepted(node: Any) -> None:
    @workflow
    async def waits(ctx: Context, _: None) -> str:
        await ctx.signal("go")
        return "ok"

    await node.start(waits)
    ids = [await node.open(waits) for _ in range(3)]
    with pytest.raises(Overloaded, match="limit is 3"):
        await node.open(waits)
    for run_id in ids:
        await node.signal(run_id, "go")
        assert (await node.end(run_id)).value == "ok"
    await node.open(waits)


async def test_timers_are_never_early(node: Any) -> None:
    @workflow
    async def naps(ctx: Context, seconds: float) -> float:
        begun = ctx.now().timestamp()
        await ctx.sleep(seconds)
        return ctx.now().timestamp() - begun

    await node.start(naps)
    finished = await asyncio.gather(*(node.run(naps, 0.05 * number) for number in range(6)))
    for number, one in enumerate(finished):
        assert one.value >= 0.05 * number


@pytest.mark.parametrize("options", [EngineOptions(park_after_s=0.4, timer_window_s=1.0)])
async def test_a_long_sleep_leaves_memory_and_comes_back_in_time(node: Any) -> None:
    @workflow
    async def naps(ctx: Context, _: None) -> float:
        begun = ctx.now().timestamp()
        await ctx.sleep(1.5)
        return ctx.now().timestamp() - begun

    await node.start(naps)
    run_id = await node.open(naps)
    await node.until(lambda: _in_mode(node, run_id, Mode.PARKED))
    await node.until(lambda: node.engine.stats().open_in_memory == 0)
    await node.again()
    assert (await node.end(run_id)).value >= 1.5


@pytest.mark.parametrize("options", [EngineOptions(park_after_s=0.05)])
async def test_a_parked_run_wakes_for_a_signal_an_event_and_a_cancel(node: Any) -> None:
    @workflow
    async def waits(ctx: Context, how: str) -> Any:
        if how == "signal":
            return await ctx.signal("go")
        return (await ctx.wait_for("thing", subject=how))["data"]

    @workflow
    async def emits(ctx: Context, subject: str) -> None:
        await ctx.emit("thing", 5, subject=subject)

    await node.start(waits, emits)
    runs = {how: await node.open(waits, how) for how in ("signal", "event", "cancel")}
    for run_id in runs.values():
        await node.until(lambda run_id=run_id: _in_mode(node, run_id, Mode.PARKED))
    await node.signal(runs["signal"], "go", 4)
    await node.run(emits, "event")
    await node.cancel(runs["cancel"])
    assert (await node.end(runs["signal"])).value == 4
    assert (await node.end(runs["event"])).value == 5
    assert (await node.end(runs["cancel"])).outcome is Outcome.CANCELLED


async def test_reloaded_code_takes_over_runs_it_fits(node: Any) -> None:
    @workflow(name="greets")
    async def before(ctx: Context, _: None) -> str:
        await ctx.signal("go")
        return "hello"

    @workflow(name="greets")
    async def after(ctx: Context, _: None) -> str:
        await ctx.signal("go")
        return "good day"

    await node.start(before)
    run_id = await node.open(before)
    await node.until(lambda: _has(node, run_id, Kind.WAIT))
    node.workflows = [after]
    await node.engine.reload(*node.programs())
    await node.signal(run_id, "go")
    assert (await node.end(run_id)).value == "good day"


async def test_every_flush_is_sealed_and_closings_leave_decisions(node: Any) -> None:
    @workflow
    async def brief(ctx: Context, _: None) -> None:
        return None

    await node.start(brief)
    run_id = await node.open(brief)
    await node.end(run_id)
    seals = await node.keeper.reader.seals(1, 1000)
    told = [decision for seal in seals for decision in msgspec.json.decode(seal.decisions)]
    assert [one["verb"] for one in told if one.get("run")] == ["start", "close"]


async def test_a_planned_stop_lets_calls_under_way_end_and_begins_no_new_ones(node: Any) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    async def slow(name: str) -> str:
        ran.append(name)
        begun.set()
        await go.wait()
        return name

    @workflow
    async def pays(ctx: Context, _: None) -> list[str]:
        return [await ctx.step(slow, "one", once=True), await ctx.step(slow, "two", once=True)]

    await node.start(pays)
    run_id = await node.open(pays)
    await begun.wait()
    stopping = asyncio.create_task(node.engine.stop(5))
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert ran == ["one"]
    await node.again()
    assert (await node.end(run_id)).value == ["one", "two"]
    assert ran == ["one", "two"]


async def test_an_event_goes_to_the_wait_that_wants_it_and_to_one_only(node: Any) -> None:
    @workflow
    async def decides(ctx: Context, subject: str) -> Any:
        which, event = await ctx.race(
            ctx.wait_for("order", subject=subject, where='.data.state == "paid"'),
            ctx.wait_for("order", subject=subject, where='.data.state == "refused"'),
            ctx.wait_for("order", subject=subject, where='.data.state == "lost"'),
        )
        later = await ctx.wait_for("order", subject=subject)
        return [which, event["data"]["state"], later["data"]["state"]]

    @workflow
    async def emits(ctx: Context, subject: str) -> None:
        for state in ("seen", "refused", "closed"):
            await ctx.emit("order", {"state": state}, subject=subject)
            await ctx.sleep(0.05)

    await node.start(decides, emits)
    run_id = await node.open(decides, "o1")
    await node.until(lambda: _waits_for(node, run_id))
    await node.run(emits, "o1")
    assert (await node.end(run_id)).value == [1, "refused", "seen"], "what nobody took is still there"


async def test_a_step_that_runs_once_is_not_tried_again_when_it_raises(node: Any) -> None:
    ran: list[int] = []

    async def wire() -> None:
        ran.append(1)
        raise OSError("who knows")

    @workflow
    async def pays(ctx: Context, _: None) -> None:
        await ctx.step(wire, once=True)

    await node.start(pays)
    assert (await node.run(pays)).outcome is Outcome.FAILED
    assert ran == [1]
