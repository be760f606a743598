"""Violations to plant, one each: a function spoils the records and says which check must find it, and as what."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from tests.crash import checks
from tests.crash.checks import BROKEN, DOUBLED, EARLY, LOST, STRAY, Finding
from tests.crash.customer import Asked
from tests.crash.records import Effect, Records, Run, Seen
from tests.crash.tenures import Tenures, Written

from rco.kit.ids import id_bytes
from rco.model.journal import Kind, Record

__all__ = ["PLANTED", "Planted"]

Planted = tuple[Callable[[Records], Iterable[Finding]], str]
"""The check that must find it, and as what."""


def run_of(records: Records, workflow: str) -> Run:
    return next(run for run in records.runs.values() if run.workflow == workflow)


def swap(run: Run, kind: Kind, change: Callable[[Record], Record]) -> None:
    """Change the run's first record of this kind."""
    at = next(at for at, record in enumerate(run.records) if record.kind == kind)
    run.records[at] = change(run.records[at])


def repeat(run: Run, kind: Kind) -> None:
    """Put the run's first record of this kind in twice."""
    run.records.insert(-1, run.of(kind)[0])


def without(run: Run, *kinds: Kind) -> None:
    run.records = [record for record in run.records if record.kind not in kinds]


def told(records: Records, kind: str) -> Asked:
    return next(one for one in records.asked if one.kind == kind and one.outcome == "acknowledged")


def replaced(one: Any, **fields: Any) -> Any:
    return type(one)(**{**vars(one), **fields})


def with_body(record: Record, body: Any) -> Record:
    return msgspec.structs.replace(record, body=body)


def an_effect_is_missing(records: Records) -> Planted:
    records.effects.remove(next(one for one in records.effects if one.what == "booked"))
    return checks.effects, LOST


def an_effect_under_the_same_key_twice(records: Records) -> Planted:
    # Not one of an order that was cancelled: whether its step ended is open.
    records.effects.append(next(one for one in records.effects if one.what == "booked" and one.key))
    return checks.steps, DOUBLED


def an_effect_under_another_key_twice(records: Records) -> Planted:
    one = next(one for one in records.effects if one.what == "shipped")
    records.effects.append(Effect(one.what, one.order, "", one.at_us))
    return checks.effects, DOUBLED


def an_effect_nobody_asked_for(records: Records) -> Planted:
    order = run_of(records, "nap").order
    records.effects.append(Effect("napped", order, "0" * 32, 1))
    return checks.steps, STRAY


def an_effect_of_a_step_that_failed(records: Records) -> Planted:
    run = run_of(records, "refused")
    failed = next(record for record in run.of(Kind.STEP_END) if not record.body[0])
    records.effects.append(Effect("charge", run.order, run.idempotency_key(failed.key), 1))
    return checks.steps, STRAY


def a_failed_order_not_undone(records: Records) -> Planted:
    order = run_of(records, "refused").order
    records.effects.remove(next(one for one in records.effects if (one.order, one.what) == (order, "released")))
    return checks.effects, LOST


def a_start_without_a_run(records: Records) -> Planted:
    del records.runs[told(records, "start").run_id]
    return checks.starts, LOST


def a_start_told_as_two_runs(records: Records) -> Planted:
    records.asked.append(replaced(told(records, "start"), run_id=next(iter(records.runs)), answer=False))
    return checks.starts, DOUBLED


def a_start_told_as_new_twice(records: Records) -> Planted:
    records.asked += [replaced(told(records, "start"), answer=True)] * 2
    return checks.starts, DOUBLED


def a_run_nobody_was_told_of(records: Records) -> Planted:
    run_id = told(records, "start").run_id
    records.asked = [one for one in records.asked if one.run_id != run_id]
    return checks.starts, STRAY


def a_run_of_another_request(records: Records) -> Planted:
    swap(run_of(records, "nap"), Kind.START, lambda one: with_body(one, {**one.body, "input": {"order": "other"}}))
    return checks.starts, BROKEN


def a_delivery_that_began_nothing(records: Records) -> Planted:
    del records.runs[run_of(records, "fulfil").run_id]
    return checks.deliveries, LOST


def a_delivery_that_began_two(records: Records) -> Planted:
    records.runs["another"] = copy.deepcopy(run_of(records, "watch"))
    return checks.deliveries, DOUBLED


def a_delivery_accepted_twice(records: Records) -> Planted:
    records.decisions.append(next(one for one in records.decisions if one["verb"] == "accept"))
    return checks.deliveries, DOUBLED


def a_delivery_not_in_the_evidence(records: Records) -> Planted:
    event = told(records, "deliver").name
    records.decisions = [one for one in records.decisions if (one["verb"], one.get("event")) != ("accept", event)]
    return checks.deliveries, LOST


def a_delivery_under_two_correlation_ids(records: Records) -> Planted:
    one = told(records, "deliver")
    records.asked.append(replaced(one, answer={**one.answer, "duplicate": True, "corr_id": "other"}))
    return checks.deliveries, DOUBLED


def a_delivery_told_as_new_twice(records: Records) -> Planted:
    one = told(records, "deliver")
    records.asked += [replaced(one, answer={"corr_id": one.answer["corr_id"]})] * 2
    return checks.deliveries, DOUBLED


def a_delivery_its_sender_never_heard_of(records: Records) -> Planted:
    records.asked = [one for one in records.asked if one.kind != "deliver"]
    return checks.deliveries, STRAY


def a_delivery_refused(records: Records) -> Planted:
    records.asked.append(replaced(told(records, "deliver"), outcome="refused"))
    return checks.deliveries, LOST


def a_gap_in_a_journal(records: Records) -> Planted:
    run = run_of(records, "order")
    del run.segments[1], run.chains[1]
    return checks.journals, LOST


def a_segment_twice(records: Records) -> Planted:
    run = run_of(records, "order")
    run.segments.insert(1, run.segments[1])
    run.chains.insert(1, run.chains[1])
    return checks.journals, DOUBLED


def segments_against_the_order_of_commits(records: Records) -> Planted:
    run = run_of(records, "order")
    n, first_seq, count = run.segments[-1]
    run.segments[-1] = n - 10_000, first_seq, count
    return checks.journals, BROKEN


def a_second_begin(records: Records) -> Planted:
    repeat(run_of(records, "order"), Kind.START)
    return checks.journals, BROKEN


def a_record_behind_the_close(records: Records) -> Planted:
    run = run_of(records, "order")
    run.records.append(run.of(Kind.STATE)[0])
    return checks.journals, BROKEN


def a_run_not_closed(records: Records) -> Planted:
    without(run_of(records, "nap"), Kind.CLOSE)
    return checks.closings, LOST


def a_run_closed_twice(records: Records) -> Planted:
    repeat(run_of(records, "nap"), Kind.CLOSE)
    return checks.closings, DOUBLED


def a_run_closed_as_it_should_not(records: Records) -> Planted:
    swap(run_of(records, "gate"), Kind.CLOSE, lambda one: with_body(one, ["failed", {}]))
    return checks.closings, LOST


def a_close_missing_in_the_evidence(records: Records) -> Planted:
    records.decisions.remove(next(one for one in records.decisions if one["verb"] == "close"))
    return checks.closings, LOST


def a_close_twice_in_the_evidence(records: Records) -> Planted:
    records.decisions.append(next(one for one in records.decisions if one["verb"] == "close"))
    return checks.closings, DOUBLED


def a_start_missing_in_the_evidence(records: Records) -> Planted:
    records.decisions.remove(next(one for one in records.decisions if one["verb"] == "start"))
    return checks.closings, LOST


def a_call_missing_in_the_evidence(records: Records) -> Planted:
    records.decisions.remove(next(one for one in records.decisions if one["verb"] == "call" and not one.get("reason")))
    return checks.steps, LOST


def a_step_ended_twice(records: Records) -> Planted:
    repeat(run_of(records, "flaky"), Kind.STEP_END)
    return checks.steps, DOUBLED


def a_step_answered_about_another(records: Records) -> Planted:
    swap(run_of(records, "flaky"), Kind.STEP_END, lambda one: with_body(one, [1, {"effect": "x", "key": "y"}, 1]))
    return checks.steps, BROKEN


def a_signal_dropped(records: Records) -> Planted:
    run = run_of(records, "gate")
    run.records.remove(run.of(Kind.MESSAGE)[0])
    return checks.signals, LOST


def a_signal_taken_twice(records: Records) -> Planted:
    repeat(run_of(records, "gate"), Kind.MESSAGE)
    return checks.signals, DOUBLED


def a_signal_nobody_sent(records: Records) -> Planted:
    run = run_of(records, "gate")
    run.records.insert(-1, with_body(run.of(Kind.MESSAGE)[0], ["go:forged", "go", 0]))
    return checks.signals, STRAY


def a_signal_refused(records: Records) -> Planted:
    records.asked.append(Asked("signal", "go:x", "refused", "x", run_id=run_of(records, "gate").run_id))
    return checks.signals, LOST


def a_timer_fired_early(records: Records) -> Planted:
    run = run_of(records, "nap")
    due = run.of(Kind.TIMER_SET)[0].body
    swap(run, Kind.TIMER_FIRED, lambda one: msgspec.structs.replace(one, at_us=due - 1))
    return checks.timers, EARLY


def a_wait_that_timed_out_early(records: Records) -> Planted:
    run = run_of(records, "watch")
    wait = run.of(Kind.WAIT)[0]
    run.records.insert(-1, Record(Kind.TIMER_FIRED, wait.key, wait.body["due_us"] - 1))
    return checks.timers, EARLY


def the_world_saw_something_before_its_timer(records: Records) -> Planted:
    run = run_of(records, "nap")
    key = run.idempotency_key(run.of(Kind.STEP_END)[0].key)
    records.seen.append(Seen("napped", run.order, key, run.of(Kind.TIMER_SET)[0].body - 1))
    return checks.timers, EARLY


def a_timer_fired_twice(records: Records) -> Planted:
    repeat(run_of(records, "nap"), Kind.TIMER_FIRED)
    return checks.timers, DOUBLED


def a_timer_set_twice(records: Records) -> Planted:
    repeat(run_of(records, "nap"), Kind.TIMER_SET)
    return checks.timers, DOUBLED


def a_timer_fired_that_was_not_set(records: Records) -> Planted:
    without(run_of(records, "nap"), Kind.TIMER_SET)
    return checks.timers, STRAY


def a_timer_that_never_fired(records: Records) -> Planted:
    without(run_of(records, "nap"), Kind.TIMER_FIRED)
    return checks.timers, LOST


def a_retry_before_it_is_due(records: Records) -> Planted:
    run, retry = next(
        (run, one)
        for run in records.runs.values()
        for one in run.of(Kind.STEP_RETRY)
        if "503" in one.body[2]["message"]
    )
    records.seen.append(Seen("x", run.order, run.idempotency_key(retry.key), retry.body[1] - 1))
    return checks.retries, EARLY


def an_attempt_before_it_is_due(records: Records) -> Planted:
    run = run_of(records, "flaky")
    due = run.of(Kind.STEP_RETRY)[0].body[1]
    swap(run, Kind.STEP_END, lambda one: msgspec.structs.replace(one, at_us=due - 1))
    return checks.retries, EARLY


def a_child_nobody_opened(records: Records) -> Planted:
    without(run_of(records, "order"), Kind.CHILD)
    return checks.children, STRAY


def a_child_that_is_not_there(records: Records) -> Planted:
    del records.runs[run_of(records, "ship").run_id]
    return checks.children, LOST


def a_child_opened_twice(records: Records) -> Planted:
    repeat(run_of(records, "order"), Kind.CHILD)
    return checks.children, DOUBLED


def a_parent_not_told(records: Records) -> Planted:
    without(run_of(records, "order"), Kind.MESSAGE)
    return checks.children, LOST


def a_parent_told_twice(records: Records) -> Planted:
    repeat(run_of(records, "order"), Kind.MESSAGE)
    return checks.children, DOUBLED


def a_parent_told_otherwise(records: Records) -> Planted:
    run = run_of(records, "order")
    swap(run, Kind.MESSAGE, lambda one: with_body(one, [*one.body[:2], ["failed", None]]))
    return checks.children, BROKEN


def a_child_of_another(records: Records) -> Planted:
    swap(run_of(records, "ship"), Kind.START, lambda one: with_body(one, {**one.body, "parent_key": "other"}))
    return checks.children, BROKEN


def an_event_not_taken(records: Records) -> Planted:
    without(run_of(records, "watch"), Kind.MESSAGE)
    return checks.emitted, LOST


def an_event_taken_twice(records: Records) -> Planted:
    repeat(run_of(records, "watch"), Kind.MESSAGE)
    return checks.emitted, DOUBLED


def an_event_emitted_twice(records: Records) -> Planted:
    repeat(run_of(records, "fulfil"), Kind.EMIT)
    return checks.emitted, DOUBLED


def a_line_of_the_evidence_edited(records: Records) -> Planted:
    at = next(at for at, line in enumerate(records.evidence) if b'"verb":"close"' in line)
    records.evidence[at] = records.evidence[at].replace(b'"verb":"close"', b'"verb":"start"', 1)
    return checks.evidence, BROKEN


def a_link_of_the_evidence_removed(records: Records) -> Planted:
    at = next(at for at, line in enumerate(records.evidence) if at > 3 and b'"line":"seal"' in line)
    del records.evidence[at]
    return checks.evidence, BROKEN


def a_segment_of_the_evidence_removed(records: Records) -> Planted:
    del records.evidence[next(at for at, line in enumerate(records.evidence) if b'"line":"journal"' in line)]
    return checks.evidence, BROKEN


def something_left_in_the_database(records: Records) -> Planted:
    records.leftovers["waiter"] = 1
    return checks.leftovers, STRAY


def _two_nodes(records: Records) -> tuple[Run, Seen, Tenures]:
    """A run, a request for it, and a record of owners in which node b took its shard over before all of that."""
    run = run_of(records, "order")
    keys = {run.idempotency_key(record.key) for record in run.of(Kind.STEP_END)}
    seen = next(one for one in records.seen if one.key in keys and one.what == "reserved")
    tenures = Tenures({seen.port: {"a"}})
    tenures.changes[id_bytes(run.run_id)[15]] = [(0, "a"), (seen.at_us - 2 * checks.SLACK_US, "b")]
    records.tenures = tenures
    return run, seen, tenures


def a_commit_for_a_shard_that_was_taken_over(records: Records) -> Planted:
    run, seen, tenures = _two_nodes(records)
    tenures.written.append(Written(seen.at_us, run.run_id, id_bytes(run.run_id)[15], "a"))
    return checks.appends, BROKEN


def a_call_for_a_shard_that_was_taken_over(records: Records) -> Planted:
    _two_nodes(records)
    return checks.calls, BROKEN


PLANTED = [
    one
    for one in list(globals().values())
    if getattr(one, "__annotations__", {}) == {"records": "Records", "return": "Planted"}
]
