"""What users test their workflows with, step by step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rco.errors import CallFailed, Misuse, TimedOut
from rco.model.schedule import ScheduleSpec
from rco.model.target import Fallback, Rule, Target
from rco.testing import (
    Environment,
    NotDeterministic,
    RunNotCompleted,
    cannot_connect,
    check_history,
    connection_lost,
    crash_everywhere,
    no_answer,
    node_dies,
    reply,
    run_workflow,
    slow,
    too_many,
)
from rco.verify.__main__ import main
from rco.workflow import Context, workflow

YES = {"POST shop /**": {"ok": True}}


async def release(ctx: Context, order: str) -> None:
    await ctx.call("shop", "POST", f"/release/{order}")


async def charge(cents: int) -> int:
    raise AssertionError("tests stand in for it")


async def note(word: str) -> str:
    return word


@workflow
async def approve(ctx: Context, given: dict[str, Any]) -> str:
    ctx.compensate(release, given["order"])
    await ctx.call("shop", "POST", f"/reserve/{given['order']}")
    await ctx.state("half", 1)
    try:
        who = await ctx.signal("approved", timeout_s=3 * 86400)
    except TimedOut:
        raise ValueError("nobody approved") from None
    await ctx.emit("approved", {"by": who}, subject=given["order"])
    return f"by {who}"


@workflow(on="approved")
async def ship(ctx: Context, event: dict[str, Any]) -> str:
    await ctx.sleep(60)
    return f"shipped {event['subject']}"


@workflow
async def pays(ctx: Context, cents: int) -> Any:
    return await ctx.step(charge, cents, once=True)


@workflow
async def both(ctx: Context, given: Any) -> Any:
    return await ctx.gather(ctx.child(ship, {"subject": "a"}), ctx.child(ship, {"subject": "b"}))


@workflow
async def posts(ctx: Context, given: Any) -> Any:
    return (await ctx.call("shop", "POST", "/orders", json=given)).body


counted = 0


@workflow
async def forgetful(ctx: Context, given: Any) -> Any:
    """Keeps a count beside its journal."""
    global counted
    counted += 1
    await ctx.step(note, f"n{counted}")
    return await ctx.step(note, "end")


@workflow
async def parallel_forgetful(ctx: Context, given: Any) -> Any:
    global counted
    counted += 1
    return await ctx.gather(ctx.step(note, "a"), ctx.call("shop", "POST", f"/{counted}"))


@workflow
async def ends_otherwise(ctx: Context, given: Any) -> int:
    global counted
    counted += 1
    await ctx.step(note, "a")
    return counted


# -- step by step ----------------------------------------------------------------------------------------------------


def test_a_test_goes_step_by_step() -> None:
    with Environment(approve, ship, calls=YES) as env:
        run = env.start(approve, {"order": "o"})
        assert (run.state, run.states) == ("waiting", {"half": 1})
        assert [(one.key, one.due_in_s) for one in run.pending] == [("signal approved", 3 * 86400.0)]
        before = env.now
        env.advance(days=2)
        assert env.now - before == timedelta(days=2)
        assert run.pending[0].due_in_s == 86400.0
        run.signal("approved", "ann")
        assert run.result() == "by ann"
        assert [(one.type, one.subject, one.data) for one in env.emitted] == [("approved", "o", {"by": "ann"})]
        shipped = env.runs[-1]
        assert (shipped.workflow, shipped.state) == ("ship", "waiting")
        assert shipped.result() == "shipped o"
        assert (env.unused, env.replays >= 3) == ([], True)


async def test_it_is_the_same_in_an_async_test() -> None:
    async with Environment(approve, calls=YES) as env:
        run = env.start(approve, {"order": "o"})
        run.signal("approved", "ann")
        assert await run == "by ann"


def test_a_node_that_dies_takes_nothing_along() -> None:
    with Environment(approve, calls=YES) as env:
        run = env.start(approve, {"order": "o"})
        env.kill()
        with pytest.raises(Misuse, match="the node is down"):
            run.signal("approved", "ann")
        env.advance(days=1)
        env.recover()
        run.signal("approved", "ann", message_id="m")
        assert run.result() == "by ann"
        assert len(env.calls) == 1


def test_a_restart_in_the_middle_of_a_call_asks_again_under_the_same_key() -> None:
    with Environment(posts, calls={"POST shop /orders": [slow({"n": 1}, seconds=5), {"n": 1}]}) as env:
        run = env.start(posts)
        assert [(one.key, one.what) for one in run.pending] == [("POST shop", "step POST shop")]
        env.restart()
        assert run.result() == {"n": 1}
        assert [call.effect for call in env.calls] == [True, False]
        assert len({call.idempotency_key for call in env.calls}) == 1


def test_pausing_cancelling_and_children() -> None:
    with Environment(both, ship, approve, calls=YES) as env:
        run = env.start(both)
        assert [child.workflow for child in run.children] == ["ship", "ship"]
        run.pause()
        env.advance(hours=1)
        assert run.state == "paused"
        assert [child.open for child in run.children] == [False, False]
        run.resume()
        assert run.result() == ["shipped a", "shipped b"]
        other = env.start(approve, {"order": "o"})
        other.cancel()
        assert other.ended().outcome == "cancelled"
        assert env.calls[-1].path == "/release/o"


def test_an_event_is_accepted_once() -> None:
    with Environment(ship) as env:
        (run,) = env.event("approved", {"by": "ann"}, subject="o", id="e-1")
        assert env.event("approved", {"by": "ann"}, subject="o", id="e-1") == []
        assert run.result() == "shipped o"
        assert len(env.runs) == 1


def test_the_same_key_is_the_same_run() -> None:
    with Environment(posts, calls={"POST shop /orders": 1}) as env:
        assert env.start(posts, 1, key="k") == env.start(posts, 1, key="k")
        with pytest.raises(Misuse, match="stands for another request"):
            env.start(posts, 2, key="k")


def test_a_schedule_starts_runs_and_outlives_the_node() -> None:
    with Environment(ship) as env:
        env.schedule("hourly", ScheduleSpec(workflow="ship", input={"subject": "s"}, every_s=3600.0))
        env.advance(hours=2)
        env.restart()
        env.advance(hours=1)
        assert [run.ended().value for run in env.runs] == ["shipped s"] * 3
        with pytest.raises(Misuse, match="there is a schedule"):
            env.schedule("hourly", ScheduleSpec(workflow="ship", every_s=60.0))


def test_a_call_in_doubt_is_settled() -> None:
    with Environment(pays, steps={"charge": TimeoutError("lost")}) as env:
        run = env.start(pays, 5)
        assert run.state == "in_doubt"
        assert [one.in_doubt for one in run.pending] == [True]
        with pytest.raises(Misuse, match="Say done"):
            run.settle("yes")
        run.settle("done", 7)
        assert run.result() == 7


# -- stand-ins for steps ---------------------------------------------------------------------------------------------


def test_a_step_is_answered_by_value_sequence_error_or_function() -> None:
    @workflow
    async def three(ctx: Context, given: Any) -> Any:
        return [await ctx.step(charge, number) for number in range(3)]

    assert run_workflow(three, steps={"charge": 9}).value == [9, 9, 9]
    assert run_workflow(three, steps={"charge": [1, OSError("x"), 2, 3]}).value == [1, 2, 3]
    assert run_workflow(three, steps={"charge": lambda cents: cents * 2}).value == [0, 2, 4]
    assert run_workflow(three, steps={"charge": KeyError}).outcome == "failed"


# -- the other side --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "outcome", "effects"),
    [
        (no_answer(done=True), "no_answer", [True, False]),
        (no_answer(), "no_answer", [False, True]),
        (connection_lost(done=True), "connection_lost", [True, False]),
        (cannot_connect(), "cannot_connect", [False, True]),
        (node_dies(done=True), "node_dies", [True, False]),
        (node_dies(), "node_dies", [False, True]),
        (reply({"error": "x"}, status=503), "503", [False, True]),
        (slow({"n": 1}, seconds=60), "200", [True, False]),
    ],
)
@pytest.mark.parametrize("replay", [True, False])
def test_one_effect_whatever_goes_wrong_first(fault: Any, outcome: str, effects: list[bool], replay: bool) -> None:
    ended = run_workflow(posts, {"a": 1}, calls={"POST shop /orders": [fault, {"n": 1}]}, replay=replay)
    assert ended.result() == {"n": 1}
    assert ended.calls[0].outcome == outcome
    assert [call.effect for call in ended.calls] == effects
    assert len({call.idempotency_key for call in ended.calls}) == 1


def test_who_says_when_to_come_again_is_left_alone_until_then() -> None:
    ended = run_workflow(posts, calls={"POST shop /orders": [too_many(retry_after_s=90), {"n": 1}]})
    assert ended.calls[1].at_s >= 90


def test_a_slow_answer_is_waited_for() -> None:
    ended = run_workflow(posts, calls={"POST shop /orders": slow({"n": 1}, seconds=8)})
    assert (ended.value, 8 <= ended.took_s < 9, len(ended.calls)) == ({"n": 1}, True, 1)


def test_what_says_no_is_an_error_with_its_body() -> None:
    @workflow
    async def asks(ctx: Context, given: Any) -> Any:
        try:
            await ctx.call("shop", "POST", "/orders")
        except CallFailed as problem:
            return problem.data

    ended = run_workflow(asks, calls={"POST shop /orders": reply({"why": "sold out"}, status=409)})
    assert (ended.value["status"], ended.value["body"]) == (409, {"why": "sold out"})


def test_declared_targets_bring_their_rules() -> None:
    target = Target(
        name="shop",
        base_url="https://shop.test",
        allow=[Rule(methods=["POST"], path="/orders")],
        attempts=2,
        fallback=Fallback(body={"n": 0}),
    )
    calls = {"POST shop /orders": cannot_connect()}
    ended = run_workflow(posts, calls=calls, targets=[target])
    assert (ended.value, len(ended.calls)) == ({"n": 0}, 2)
    ended = run_workflow(approve, {"order": "o"}, calls=YES, targets=[target])
    assert (ended.outcome, ended.calls) == ("failed", [])
    assert "no rule allows" in ended.value["message"]


def test_a_target_without_keys_is_in_doubt_after_a_lost_answer() -> None:
    rules = [Rule(methods=["POST"], path="/**")]
    target = Target(name="shop", base_url="https://shop.test", allow=rules, idempotency_header=None)
    with Environment(posts, calls={"POST shop /orders": no_answer(done=True)}, targets=[target]) as env:
        run = env.start(posts)
        env.advance(minutes=1)
        assert run.state == "in_doubt"
        assert [call.effect for call in env.calls] == [True]


# -- crashes ---------------------------------------------------------------------------------------------------------


def test_every_crash_there_can_be() -> None:
    runs = crash_everywhere(approve, {"order": "o"}, calls=YES, signals=[(86400, "approved", "ann")])
    assert len(runs) > 5
    assert {sum(call.effect for call in ended.calls) for ended in runs} == {1}
    assert max(len(ended.calls) for ended in runs) == 2, "no crash came between an effect and its record"


def test_a_crash_that_changes_the_outcome_is_told_with_its_place() -> None:
    seen: list[int] = []

    @workflow
    async def counts(ctx: Context, given: Any) -> Any:
        return await ctx.step(effect, name="effect")

    async def effect() -> int:
        seen.append(1)
        return len(seen)

    with pytest.raises(AssertionError, match=r"killed before transaction \d of \d, counts is completed with"):
        crash_everywhere(counts)


# -- forced replay ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [forgetful, parallel_forgetful, ends_otherwise])
def test_what_is_not_deterministic_fails(one: Any) -> None:
    with pytest.raises(NotDeterministic, match=r"(?s)is not replayed as it ran.*recorded.*code.*ctx.now\(\)"):
        run_workflow(one, calls=YES)


def test_without_forced_replay_only_the_end_is_compared() -> None:
    with pytest.raises(NotDeterministic, match="record"):
        run_workflow(forgetful, replay=False)


def test_every_record_is_replayed_and_long_runs_stay_quick() -> None:
    @workflow
    async def many(ctx: Context, count: int) -> int:
        return sum([await ctx.step(int, 1) for _ in range(count)])

    with Environment(many) as env:
        env.start(many, 50).result()
        assert env.replays >= 50
    with Environment(many) as env:
        assert env.start(many, 2000).result() == 2000
        assert 100 <= env.replays < 300


# -- histories -------------------------------------------------------------------------------------------------------


def test_a_history_is_replayed_on_changed_code(tmp_path: Any) -> None:
    with Environment(approve, calls=YES) as env:
        env.start(approve, {"order": "o"})
        env.record(tmp_path / "deep" / "h.jsonl")
    assert check_history(tmp_path / "deep" / "h.jsonl", approve) == 1

    @workflow(name="approve")
    async def changed(ctx: Context, given: dict[str, Any]) -> str:
        await ctx.call("shop", "POST", "/elsewhere")
        return "no"

    with pytest.raises(NotDeterministic, match=r"(?s)does not fit the history in .*h.jsonl.*ctx.patched"):
        check_history(tmp_path / "deep" / "h.jsonl", changed)
    with pytest.raises(Misuse, match="which was not given"):
        check_history(tmp_path / "deep" / "h.jsonl", ship)


def test_a_history_is_a_whole_export(tmp_path: Any) -> None:
    path = tmp_path / "h.jsonl"
    path.write_bytes(run_workflow(approve, {"order": "o"}, calls=YES).history)
    assert main([str(path), "--settled", "--rules", "deh"]) == 0


def test_the_same_seed_records_the_same_file() -> None:
    told = [run_workflow(approve, {"order": "o"}, calls=YES, seed=seed).history for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]


# -- mistakes --------------------------------------------------------------------------------------------------------


def test_what_did_not_complete_says_why() -> None:
    with pytest.raises(RunNotCompleted, match=r"(?s)approve is failed.*ValueError: nobody approved.*TIMER_FIRED"):
        run_workflow(approve, {"order": "o"}, calls=YES).result()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Environment, "without workflows"),
        (lambda: Environment(note), "not a workflow"),
        (lambda: Environment(ship, ship), "two workflows"),
        (lambda: Environment(ship, calls={"shop /orders": 1}), 'Write "METHOD target /path"'),
        (lambda: Environment(ship, calls={"GET shop /a": []}), "empty list"),
        (lambda: Environment(ship, steps=["x"]), "steps is a list"),
        (lambda: Environment(ship).start(approve), "Environment\\(approve, ...\\)"),
        (lambda: Environment(ship).advance(-1), "Time goes forward"),
        (lambda: Environment(ship).recover(), "the node is up"),
        (lambda: Environment(ship).schedule("s", ScheduleSpec(workflow="x", every_s=1.0)), "which is not here"),
        (lambda: reply(status=99), "between 200 and 599"),
        (lambda: run_workflow(posts, calls={"POST shop /order": 1}), "Did you mean 'POST shop /order'"),
    ],
)
def test_a_mistake_is_told_with_its_cure(make: Any, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        make()


def test_a_closed_run_takes_no_signal_and_a_closed_environment_nothing() -> None:
    with Environment(posts, calls={"POST shop /orders": 1}) as env:
        run = env.start(posts)
        run.result()
        with pytest.raises(Misuse, match="is not open"):
            run.signal("late")
    with pytest.raises(Misuse, match="is closed"):
        env.advance()


def test_what_never_comes_is_told_with_what_is_waited_for() -> None:
    with Environment(ship) as env:
        run = env.start(ship, {"subject": "o"})
        with pytest.raises(TimeoutError, match="ship is waiting, waits for sleep 60 s"):
            env.advance_until(lambda: not run.open, 30)
