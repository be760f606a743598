"""The machine is pure: these tests have no loop, no clock and no store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rco.engine.machine import ASKS_PER_RECORD, Machine
from rco.engine.operation import Fork, Mark, Operation, Timer, Wait
from rco.errors import Cancelled, CodeChanged, Misuse, TimedOut
from rco.model.journal import Kind, Record
from rco.model.run import Outcome

RUN = bytes(16)


def timer(machine: Machine, name: str = "sleep", seconds: float = 1.0) -> Operation[None]:
    assert machine.fiber is not None
    return Timer(machine.fiber.key(name), b"timer", seconds)


def wait(machine: Machine, name: str) -> Operation[Any]:
    assert machine.fiber is not None
    return Wait(machine.fiber.key(name), b"wait", signal=name)


def fork(machine: Machine, *branches: Callable[[], Any], first: bool = False, limit: int | None = None) -> Fork:
    assert machine.fiber is not None
    return Fork(machine.fiber.key("gather"), branches, first=first, limit=limit)


def begun(code: Callable[[Machine], Any]) -> Machine:
    machine = Machine(RUN)
    machine.begin(code, 1)
    return machine


def fired(key: str, at: int = 2, fp: bytes = b"timer") -> Record:
    return Record(Kind.TIMER_FIRED, key, at, fp)


def message(key: str, value: Any) -> Record:
    return Record(Kind.MESSAGE, key, 2, b"wait", ["id", "name", value])


def test_runs_to_its_first_await_and_goes_on_by_records() -> None:
    async def code(machine: Machine) -> str:
        await timer(machine)
        await timer(machine)
        return f"done at {machine.now_us}"

    machine = begun(code)
    assert list(machine.pending) == ["sleep"]
    machine.apply(fired("sleep", 5))
    assert list(machine.pending) == ["sleep#1"]
    machine.apply(fired("sleep#1", 9))
    assert machine.verdict == (Outcome.COMPLETED, "done at 9")


def test_a_record_nobody_asks_for_is_changed_code() -> None:
    async def code(machine: Machine) -> None:
        await timer(machine)

    machine = begun(code)
    with pytest.raises(CodeChanged) as caught:
        machine.apply(fired("charge"))
    assert caught.value.diff["recorded"]["key"] == "charge"
    assert caught.value.diff["code"] == [{"key": "sleep", "asks": "sleep 1 s"}]


def test_another_fingerprint_is_changed_code() -> None:
    async def code(machine: Machine) -> None:
        await timer(machine)

    machine = begun(code)
    with pytest.raises(CodeChanged, match="other arguments"):
        machine.apply(fired("sleep", fp=b"other"))


def test_records_after_the_code_ended_are_changed_code() -> None:
    async def code(machine: Machine) -> None:
        await timer(machine)

    machine = begun(code)
    machine.apply(fired("sleep"))
    with pytest.raises(CodeChanged):
        machine.apply(fired("sleep#1"))


def test_branches_have_scopes_of_their_own() -> None:
    async def code(machine: Machine) -> Any:
        async def branch() -> int:
            await timer(machine)
            await timer(machine)
            return machine.now_us

        return await fork(machine, branch, branch)

    machine = begun(code)
    assert list(machine.pending) == ["gather/0/sleep", "gather/1/sleep"]
    for key, at in (("gather/1/sleep", 2), ("gather/1/sleep#1", 3), ("gather/0/sleep", 4), ("gather/0/sleep#1", 5)):
        machine.apply(fired(key, at))
    assert machine.verdict == (Outcome.COMPLETED, [5, 3])


def test_the_first_failure_cancels_the_other_branches_and_waits_for_their_end() -> None:
    seen: list[str] = []

    async def code(machine: Machine) -> None:
        async def fails() -> None:
            await timer(machine)
            raise ValueError("no")

        async def cleans_up() -> None:
            try:
                await wait(machine, "never")
            finally:
                await timer(machine, "cleanup")
                seen.append("cleaned")

        await fork(machine, fails, cleans_up)

    machine = begun(code)
    machine.apply(fired("gather/0/sleep"))
    assert [op.key for op in machine.dropped] == ["gather/1/never"]
    assert machine.verdict is None, "the parent waits for the clean-up of its branches"
    machine.apply(fired("gather/1/cleanup"))
    assert seen == ["cleaned"]
    assert machine.verdict is not None
    assert machine.verdict[0] is Outcome.FAILED
    assert machine.verdict[1]["message"] == "no"


def test_a_race_gives_the_first_by_record_and_drops_the_rest() -> None:
    async def code(machine: Machine) -> Any:
        async def one(name: str) -> Any:
            return await wait(machine, name)

        return await fork(machine, lambda: one("a"), lambda: one("b"), first=True)

    machine = begun(code)
    machine.apply(message("gather/1/b", "second"))
    assert machine.verdict == (Outcome.COMPLETED, (1, "second"))
    assert [op.key for op in machine.dropped] == ["gather/0/a"]
    assert not machine.pending


def test_a_limit_keeps_later_branches_back() -> None:
    async def code(machine: Machine) -> Any:
        async def branch() -> int:
            await timer(machine)
            return 1

        return await fork(machine, *([branch] * 5), limit=2)

    machine = begun(code)
    seen = 0
    while machine.pending:
        assert len(machine.pending) <= 2
        machine.apply(fired(next(iter(machine.pending))))
        seen += 1
    assert seen == 5
    assert machine.verdict == (Outcome.COMPLETED, [1] * 5)


@pytest.mark.parametrize("first", [False, True])
def test_an_empty_gather_gives_nothing_at_once(first: bool) -> None:
    async def code(machine: Machine) -> Any:
        return await (fork(machine, _nothing, first=True) if first else fork(machine))

    async def _nothing() -> None:
        return None

    assert begun(code).verdict == (Outcome.COMPLETED, (0, None) if first else [])


def test_cancel_reaches_every_branch_once_and_lets_them_clean_up() -> None:
    told: list[str] = []

    async def code(machine: Machine) -> None:
        async def branch(name: str) -> None:
            try:
                await wait(machine, name)
            except Cancelled:
                told.append(name)
                await timer(machine, "tidy")
                told.append(f"{name} tidy")
                raise

        async def nested() -> None:
            await fork(machine, lambda: branch("c"))

        await fork(machine, lambda: branch("a"), lambda: branch("b"), nested)

    machine = begun(code)
    machine.apply(Record(Kind.CANCEL, "", 3, b"", {}))
    assert told == ["a", "b", "c"]
    machine.apply(Record(Kind.CANCEL, "", 4, b"", {}))
    for key in list(machine.pending):
        machine.apply(fired(key))
    assert sorted(told) == ["a", "a tidy", "b", "b tidy", "c", "c tidy"]
    assert machine.verdict is not None
    assert machine.verdict[0] is Outcome.CANCELLED


def test_compensations_run_last_first_after_a_failure_and_are_shielded_from_cancel() -> None:
    async def code(machine: Machine) -> None:
        async def undo(name: str) -> None:
            await timer(machine, name)

        machine.undo.append(("one", lambda: undo("one")))
        machine.undo.append(("two", lambda: undo("two")))
        raise ValueError("no")

    machine = begun(code)
    assert list(machine.pending) == ["undo/begin"]
    machine.apply(Record(Kind.COMPENSATE, "undo/begin", 2))
    assert list(machine.pending) == ["undo/0/two"]
    machine.apply(Record(Kind.CANCEL, "", 3, b"", {}))
    assert list(machine.pending) == ["undo/0/two"], "a cancel must not reach into a compensation"
    machine.apply(fired("undo/0/two"))
    machine.apply(fired("undo/1/one"))
    assert machine.verdict is not None
    outcome, value = machine.verdict
    assert outcome is Outcome.FAILED
    assert value["compensation"] == [{"name": "two", "ok": True}, {"name": "one", "ok": True}]


def test_a_compensation_that_fails_does_not_keep_the_others_from_running() -> None:
    async def code(machine: Machine) -> None:
        async def good() -> None:
            await timer(machine, "good")

        async def bad() -> None:
            raise OSError("gone")

        machine.undo.append(("good", good))
        machine.undo.append(("bad", bad))
        raise ValueError("no")

    machine = begun(code)
    machine.apply(Record(Kind.COMPENSATE, "undo/begin", 2))
    machine.apply(fired("undo/1/good"))
    assert machine.verdict is not None
    told = machine.verdict[1]["compensation"]
    assert told == [{"name": "bad", "ok": False, "message": "gone"}, {"name": "good", "ok": True}]


def test_misuse_blocks_instead_of_failing() -> None:
    async def code(machine: Machine) -> None:
        import asyncio

        await asyncio.sleep(1)

    machine = begun(code)
    assert machine.verdict is None
    assert isinstance(machine.blocked, Misuse)
    assert "ctx.sleep" in str(machine.blocked)


@pytest.mark.parametrize("what", ["task", "gather", "timeout", "zero"])
def test_nothing_of_asyncio_works_in_workflow_code(what: str) -> None:
    async def code(machine: Machine) -> None:
        import asyncio

        async def other() -> None: ...

        if what == "task":
            coroutine = other()
            try:
                asyncio.create_task(coroutine)  # noqa: RUF006 - it never comes to be
            finally:
                coroutine.close()
        elif what == "gather":
            coroutine = other()
            try:
                await asyncio.gather(coroutine)
            finally:
                coroutine.close()
        elif what == "timeout":
            async with asyncio.timeout(1):
                await other()
        else:
            await asyncio.sleep(0)

    machine = begun(code)
    assert isinstance(machine.blocked, Misuse), machine.verdict


def test_awaiting_one_operation_twice_is_misuse() -> None:
    async def code(machine: Machine) -> None:
        op = timer(machine)
        await op
        await op

    machine = begun(code)
    machine.apply(fired("sleep"))
    assert isinstance(machine.blocked, Misuse)


def test_a_loop_that_never_waits_is_stopped() -> None:
    async def code(machine: Machine) -> None:
        while True:
            await fork(machine)

    machine = begun(code)
    assert isinstance(machine.blocked, Misuse)
    assert str(ASKS_PER_RECORD) in str(machine.blocked)


def test_exiting_the_interpreter_fails_the_run_only() -> None:
    async def code(machine: Machine) -> None:
        raise SystemExit(3)

    machine = begun(code)
    assert machine.verdict is not None
    assert machine.verdict[0] is Outcome.FAILED


def test_a_timeout_of_a_wait_is_an_error_the_code_can_catch() -> None:
    async def code(machine: Machine) -> str:
        try:
            await wait(machine, "go")
        except TimedOut as late:
            return str(late)
        return "came"

    machine = begun(code)
    machine.apply(Record(Kind.TIMER_FIRED, "go", 2, b"wait"))
    assert machine.verdict is not None
    assert "signal 'go'" in machine.verdict[1]


def test_replay_of_the_same_records_gives_the_same_state_at_every_point() -> None:
    async def code(machine: Machine) -> Any:
        async def branch(name: str) -> list[Any]:
            got = [await wait(machine, name)]
            await timer(machine)
            got.append(machine.now_us)
            return got

        both = await fork(machine, lambda: branch("a"), lambda: branch("b"))
        await Mark(machine.fiber.key("state"), b"", Kind.STATE, ["x", both])  # type: ignore[union-attr]
        return both

    records = [
        message("gather/1/b", 1),
        fired("gather/1/sleep", 3),
        message("gather/0/a", 2),
        fired("gather/0/sleep", 4),
        Record(Kind.STATE, "state", 5),
    ]
    live = begun(code)
    for upto in range(len(records) + 1):
        again = begun(code)
        for record in records[:upto]:
            again.apply(record)
        assert list(again.pending) == list(live.pending)
        assert again.verdict == live.verdict
        if upto < len(records):
            live.apply(records[upto])
    assert live.verdict == (Outcome.COMPLETED, [[2, 4], [1, 3]])


def test_eviction_runs_no_further_step_and_leaves_nothing_pending() -> None:
    seen: list[str] = []

    async def code(machine: Machine) -> None:
        async def branch() -> None:
            try:
                await timer(machine)
            finally:
                seen.append("finally")
                await timer(machine)
                seen.append("never")

        await fork(machine, branch, branch)

    machine = begun(code)
    machine.evict()
    assert seen == ["finally", "finally"]
    assert not machine.pending
    assert machine.verdict is None
