"""What users run their workflows with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rco.errors import Misuse, StepFailed
from rco.model.effect import EffectFailed
from rco.model.target import CallRequest
from rco.testing import ManualClock, run_workflow
from rco.workflow import Context, workflow


@workflow
async def shout(ctx: Context, given: str) -> str:
    return await ctx.step(str.upper, given)


@workflow
async def family(ctx: Context, given: str) -> list[str]:
    heard = await ctx.wait_for("told", subject=given)
    return [await ctx.child(shout, given), heard["data"]["word"]]


@workflow
async def asks(ctx: Context, _: None) -> Any:
    return (await ctx.call("shop", "GET", "/price")).body


@workflow
async def waits(ctx: Context, _: None) -> Any:
    return await ctx.signal("never")


def test_children_events_and_plain_steps() -> None:
    ended = run_workflow(family, "abc", others=[shout], events=[(86400, "told", "abc", {"word": "hi"})])
    assert (ended.outcome, ended.value) == ("completed", ["ABC", "hi"])
    assert 86400 <= ended.took_s < 86401
    assert [kind for kind, _ in ended.journal] == ["START", "WAIT", "MESSAGE", "CHILD", "MESSAGE", "CLOSE"]


def test_a_function_answers_calls() -> None:
    asked: list[CallRequest] = []

    def answer(request: CallRequest) -> Any:
        asked.append(request)
        if len(asked) < 3:
            raise EffectFailed("busy", kind="Status503")
        return {"cents": 5}

    ended = run_workflow(asks, calls=answer)
    assert ended.value == {"cents": 5}
    assert [call.attempt for call in ended.calls] == [1, 2, 3]
    assert [call.at_s for call in ended.calls] == sorted({call.at_s for call in ended.calls})


def test_a_call_that_nothing_answers_is_a_mistake_of_the_test() -> None:
    with pytest.raises(Misuse, match="GET shop /price"):
        run_workflow(asks)


def test_what_fails_comes_back_as_data() -> None:
    @workflow
    async def breaks(ctx: Context, _: None) -> None:
        try:
            await ctx.step(int, "x", attempts=2)
        except StepFailed as problem:
            raise RuntimeError(f"{problem.attempts} attempts") from None

    ended = run_workflow(breaks)
    assert ended.outcome == "failed"
    assert ended.value["message"] == "2 attempts"


def test_a_run_that_does_not_end_is_told_with_what_it_waits_for() -> None:
    with pytest.raises(TimeoutError, match="WAIT signal never"):
        run_workflow(waits, within_s=3600)


def test_it_works_within_a_running_loop_and_leaves_it_as_it_was() -> None:
    async def inside() -> str:
        ended = run_workflow(shout, "abc")
        await asyncio.sleep(0)
        return str(ended.value)

    assert asyncio.run(inside()) == "ABC"


def test_the_same_seed_gives_the_same() -> None:
    busy = {"GET shop /price": [EffectFailed("busy", kind="Status503")] * 3 + [1]}
    times = [[call.at_s for call in run_workflow(asks, calls=busy, seed=seed).calls] for seed in (1, 1, 2)]
    assert times[0] == times[1] != times[2]


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock()
    before = clock.now_us(), clock.monotonic()
    clock.move(1.5)
    assert (clock.now_us() - before[0], clock.monotonic() - before[1]) == (1_500_000, pytest.approx(1.5))
    with pytest.raises(ValueError, match="does not go back"):
        clock.move(-1)
