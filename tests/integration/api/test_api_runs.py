"""Runs over HTTP: start, list, show, wait, signal, cancel, retry."""

from __future__ import annotations

import asyncio
import json

import pytest

from rco.audit.verify import verify
from rco.errors import Conflict, NotFound
from rco.model.wire import SettleAsk

NOBODY = "01980000-0000-7000-8000-000000000000"


async def test_start_wait_and_show(served) -> None:
    started = await served.operator.start("greet", "Ada")
    run = await served.viewer.wait(started.id, timeout_s=10)
    assert (run.state, run.result, run.error) == ("completed", {"hello": "Ada"}, None)
    shown = await served.viewer.run(started.id)
    assert [(entry.kind, entry.outcome) for entry in shown.timeline] == [
        ("start", "done"),
        ("step", "done"),
        ("close", "completed"),
    ]
    step = shown.timeline[1]
    assert step.attempts == 1
    assert step.duration_ms is not None
    assert "Ada" not in json.dumps([entry.note for entry in shown.timeline])


async def test_one_key_is_one_run(served) -> None:
    def ask(value: str):
        return served.call("POST", "/v1/runs", json={"workflow": "greet", "input": value, "key": "k"})

    answers = [await ask("a"), await ask("a"), await ask("b")]
    assert [status for status, _, _ in answers] == [201, 200, 409]
    first, second, third = (json.loads(body) for _, _, body in answers)
    assert first["id"] == second["id"]
    assert (first["created"], second["created"]) == (True, False)
    assert third["reason"] == "CONFLICT"


async def test_concurrent_starts_with_one_key_are_one_run(served) -> None:
    started = await asyncio.gather(*(served.operator.start("ask", 1, key="same") for _ in range(8)))
    assert len({one.id for one in started}) == 1
    assert sum(one.created for one in started) == 1


async def test_an_unknown_workflow_names_those_there_are(served) -> None:
    with pytest.raises(NotFound, match="greet"):
        await served.operator.start("gret")


async def test_pages_go_from_new_to_old_and_end(served) -> None:
    ids = [(await served.operator.start("greet", number)).id for number in range(5)]
    for run_id in ids:
        await served.viewer.wait(run_id, timeout_s=10)
    seen: list[str] = []
    after = None
    while True:
        page = await served.viewer.runs(limit=2, after=after)
        seen += [run.id for run in page.items]
        after = page.next
        if after is None:
            break
    assert seen == ids[::-1]


async def test_filters(served) -> None:
    done = await served.operator.start("greet", 1)
    waiting = await served.operator.start("ask", 1)
    await served.viewer.wait(done.id, timeout_s=10)
    by_state = {
        state: [run.id for run in (await served.viewer.runs(state=state)).items]
        for state in ("completed", "failed", "running")
    }
    assert by_state == {"completed": [done.id], "failed": [], "running": [waiting.id]}
    assert [run.id for run in (await served.viewer.runs(workflow="ask")).items] == [waiting.id]
    corr_id = (await served.viewer.run(done.id)).corr_id
    assert [run.id for run in (await served.viewer.runs(corr_id=corr_id)).items] == [done.id]


async def test_a_signal_is_taken_once(served) -> None:
    started = await served.operator.start("ask")
    first = await served.operator.signal(started.id, "answer", {"n": 42}, message_id="m1")
    run = await served.viewer.wait(started.id, timeout_s=10)
    assert (first.accepted, run.result) == (True, {"n": 42})
    with pytest.raises(NotFound, match="not open"):
        await served.operator.signal(started.id, "answer", 43)


async def test_waiting_ends_with_its_time(served) -> None:
    started = await served.operator.start("ask")
    run = await served.viewer.wait(started.id, timeout_s=0.05)
    assert run.closed_at is None
    assert run.state in ("running", "waiting")


async def test_cancel_once(served) -> None:
    started = await served.operator.start("ask")
    await served.operator.cancel(started.id, "changed my mind")
    run = await served.viewer.wait(started.id, timeout_s=10)
    assert run.state == "cancelled"
    shown = await served.viewer.run(started.id)
    assert any(entry.kind == "cancel" and "changed my mind" in entry.note for entry in shown.timeline)
    with pytest.raises(Conflict):
        await served.operator.cancel(started.id)


async def test_a_failed_run_says_why_and_is_started_anew_once(served) -> None:
    started = await served.operator.start("fail")
    run = await served.viewer.wait(started.id, timeout_s=10)
    assert run.state == "failed"
    assert run.error is not None
    assert "no luck" in run.error["message"]
    again = await served.operator.retry(started.id)
    assert again.run_id != started.id
    assert (await served.operator.retry(started.id)).run_id == again.run_id


async def test_commands_on_nobody(served) -> None:
    asks = [
        lambda: served.viewer.run(NOBODY),
        lambda: served.viewer.wait(NOBODY),
        lambda: served.operator.signal(NOBODY, "x"),
        lambda: served.operator.cancel(NOBODY),
        lambda: served.operator.retry(NOBODY),
        lambda: served.operator.settle(NOBODY, SettleAsk(key="k", verdict="failed", reason="r")),
        lambda: served.operator.event("a/b c?%"),
        lambda: served.operator.replay_event("a/b"),
        lambda: served.operator.replay_letter(NOBODY),
    ]
    for ask in asks:
        with pytest.raises(NotFound):
            await ask()


async def test_targets_and_info(served) -> None:
    page = await served.viewer.targets()
    assert [(one.name, one.breaker, one.allow) for one in page.items] == [("pay", "closed", ["GET,POST /charges/*"])]
    info = await served.viewer.info()
    assert info.workflows == ["ask", "fail", "greet", "order", "sell"]
    assert info.epoch == 1


async def test_what_was_commanded_stands_in_evidence_that_verifies(served) -> None:
    started = await served.operator.start("ask", {"card": "visa-4111"})
    await served.operator.cancel(started.id, "why")
    await served.viewer.wait(started.id, timeout_s=10)
    text = b"".join([piece async for piece in served.admin.export_audit(journal=True)])
    lines = text.splitlines(keepends=True)
    verdict = verify(lines, complete=True)
    assert verdict.ok, verdict.problems
    assert b'"verb":"cancel"' in text
    assert b'"actor":"principal:operator"' in text
    proof = b"".join([piece async for piece in served.admin.export_audit(run=started.id)])
    assert verify(proof.splitlines(keepends=True)).run == started.id
    # Without the journal nothing of the input is in it.
    plain = b"".join([piece async for piece in served.admin.export_audit()])
    assert b"visa" not in plain
