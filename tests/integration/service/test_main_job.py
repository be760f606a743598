"""A verified event in, a durable run, governed calls out, evidence of every step: through the real doors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from githubkit.webhooks import sign as github_sign
from tests.integration.service.conftest import SECRET

from rco.kit.ids import id_text
from rco.model.journal import Kind
from rco.model.run import Mode
from rco.model.wire import SettleAsk


async def test_an_event_becomes_a_run_a_call_and_evidence(world: Any, tmp_path: Path) -> None:
    status, told = await world.send("msg_1", "order.paid", {"order": "o1"})
    assert status == 202
    assert told["accepted"] is True
    await world.until(lambda: _closed(world, 1))
    (row,) = await world.rows()
    run_id = id_text(row.run_id)
    finished = await world.end(run_id)
    assert finished.get("status") == 200, finished
    assert finished["body"]["ok"] is True
    (method, path, headers, body) = world.downstream.seen[0]
    assert (method, path, body["order"]) == ("POST", "/reservations", "o1")
    assert len(headers["Idempotency-Key"]) == 32
    assert headers["X-Corr-ID"] == told["corr_id"]
    verbs = Counter(one["verb"] for one in await world.decisions() if one.get("corr_id") == told["corr_id"])
    assert verbs == {"accept": 1, "start": 1, "call": 1, "close": 1}
    # No secret and no payload is in the evidence or in what the journal keeps of the answer.
    assert b"very secret" not in repr(await world.records(run_id)).encode()
    assert "visa" not in repr(await world.decisions())
    lines = [line async for line in world.client.export_audit(journal=True)]
    export = tmp_path / "audit.jsonl"
    export.write_bytes(b"".join(lines))
    checked = subprocess.run(
        [sys.executable, "-m", "rco.audit.verify", str(export)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def _closed(world: Any, count: int) -> bool:
    return len([row for row in await world.rows() if row.mode is Mode.CLOSED]) == count


async def test_fifty_copies_at_once_have_one_effect_before_and_after_a_restart(world: Any) -> None:
    body, headers = world.signed("msg_same", "order.paid", {"order": "o2"})
    answers = await asyncio.gather(*(world.post(body, headers) for _ in range(50)))
    assert {status for status, _ in answers} == {202}
    first = [told for _, told in answers if not told.get("duplicate")]
    assert len(first) == 1
    assert {told["corr_id"] for _, told in answers} == {first[0]["corr_id"]}
    await world.until(lambda: _closed(world, 1))
    await world.again()
    status, told = await world.post(body, headers)
    assert (status, told["duplicate"], told["corr_id"]) == (202, True, first[0]["corr_id"])
    assert len(await world.rows()) == 1
    assert len(world.downstream.seen) == 1


async def test_a_repeat_with_another_delivery_id_is_a_repeat_also_after_a_restart(world: Any) -> None:
    """What GitHub signs is the body alone: the identity beside it is anybody's to edit."""
    body = b'{"action":"opened","number":7}'
    headers = {"x-github-event": "pull_request", "x-hub-signature-256": github_sign(SECRET, body, "sha256")}
    headers["content-type"] = "application/json"

    def delivered(number: int) -> dict[str, str]:
        return {**headers, "x-github-delivery": f"72d3162e-cc78-11e3-81ab-{number:012d}"}

    answers = await asyncio.gather(*(world.post(body, delivered(number), "forge") for number in range(20)))
    assert {status for status, _ in answers} == {202}
    (first,) = [told["corr_id"] for _, told in answers if not told.get("duplicate")]
    await world.again()
    status, told = await world.post(body, delivered(99), "forge")
    assert (status, told["duplicate"], told["corr_id"]) == (202, True, first)
    verbs = [one for one in await world.decisions() if one["verb"] == "accept" and one.get("reason") != "duplicate"]
    assert len(verbs) == 1


async def test_one_key_of_the_authors_own_is_one_run(world: Any) -> None:
    for number in range(3):
        status, told = await world.send(f"msg_{number}", "order.repeated", {"order": "same"})
        assert (status, told.get("duplicate")) == (202, None)
    await world.until(lambda: _closed(world, 1))
    assert len(await world.rows()) == 1


async def test_what_a_subscription_cannot_take_is_kept_with_its_cause_and_replayed_once(world: Any) -> None:
    assert (await world.send("msg_odd", "odd.thing", {"number": 5}))[0] == 202
    assert (await world.send("msg_lonely", "lonely", {}))[0] == 202
    letters = (await world.client.letters()).items
    causes = {letter.subscription: letter.cause for letter in letters}
    assert set(causes) == {"broken", "missing"}
    assert "nobody" in causes["missing"]
    assert await world.rows() == []
    missing = next(letter for letter in letters if letter.subscription == "missing")
    (world.folder / "app.py").write_text(
        (world.folder / "app.py").read_text() + "\n@workflow\nasync def nobody(ctx, event):\n    return event['id']\n"
    )
    await world.service.reload(world.settings())
    replayed = await world.client.replay_letter(missing.id)
    assert replayed.opened == 1
    await world.until(lambda: _closed(world, 1))
    with pytest.raises(Exception, match="already replayed"):
        await world.client.replay_letter(missing.id)
    assert len(await world.rows()) == 1


async def test_busy_answers_are_tried_again_with_the_same_key(world: Any) -> None:
    world.downstream.answers = [(503, {}), (429, {}), (500, {}), (200, {"done": 1})]
    run_id = await world.call(target="stock", method="POST", path="/things", json={"a": 1})
    assert (await world.end(run_id))["body"] == {"done": 1}
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in world.downstream.seen}
    assert len(world.downstream.seen) == 4
    assert len(keys) == 1
    kinds = [record.kind for record in await world.records(run_id)]
    assert kinds.count(Kind.STEP_RETRY) == 3


async def test_a_clear_no_is_not_tried_again(world: Any) -> None:
    world.downstream.answers = [(422, {"why": "declined"})]
    run_id = await world.call(target="stock", method="POST", path="/things")
    assert await world.end(run_id) == {"failed": 422}
    assert len(world.downstream.seen) == 1


async def test_a_fallback_stands_in_and_is_seen(world: Any) -> None:
    world.downstream.answers = [(503, {})]
    run_id = await world.call(target="cushioned", method="GET", path="/rates")
    assert await world.end(run_id) == {"status": 203, "body": {"from": "the cushion"}, "fallback": True}
    metrics = world.service.metrics.render().decode()
    assert 'rco_calls_total{outcome="fallback",target="cushioned"} 1.0' in metrics


@pytest.mark.parametrize(
    ("target", "method", "path"),
    [("nobody", "GET", "/"), ("stock", "DELETE", "/things"), ("stock", "GET", "/../etc"), ("closed", "GET", "/things")],
)
async def test_what_is_not_declared_does_not_leave(world: Any, target: str, method: str, path: str) -> None:
    run_id = await world.call(target=target, method=method, path=path)
    assert "refused" in await world.end(run_id)
    assert world.downstream.seen == []
    refused = [one for one in await world.decisions() if one["verb"] == "call"]
    assert refused
    assert not any(one.get("allow", True) for one in refused)


async def test_a_call_that_may_not_be_repeated_is_in_doubt_when_its_answer_is_lost(world: Any) -> None:
    world.downstream.hold = asyncio.Event()
    run_id = await world.call(target="unkeyed", method="POST", path="/wire")

    async def in_doubt() -> bool:
        return [row.mode for row in await world.rows()] == [Mode.IN_DOUBT]

    await world.until(in_doubt)
    await world.again()
    await world.until(in_doubt)
    assert len(world.downstream.seen) == 1
    shown = await world.client.run(run_id)
    assert shown.state == "in_doubt"
    answer = {"status": 200, "headers": {}, "body": "by hand"}
    await world.client.settle(run_id, SettleAsk(key="POST unkeyed", verdict="done", value=answer, reason="asked"))
    assert (await world.end(run_id))["body"] == "by hand"
    assert len(world.downstream.seen) == 1


async def test_a_call_under_way_at_a_crash_is_made_again_with_the_same_key(world: Any) -> None:
    world.downstream.hold = asyncio.Event()
    run_id = await world.call(target="stock", method="POST", path="/things")
    await world.downstream.arrived.wait()
    await world.stop()
    world.downstream.hold.set()
    await world.start()
    assert (await world.end(run_id))["status"] == 200
    assert len(world.downstream.seen) == 2
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in world.downstream.seen}) == 1


async def test_a_broken_application_is_not_taken_over(world: Any) -> None:
    (world.folder / "app.py").write_text(
        "import time\nfrom rco.workflow import workflow\n@workflow\nasync def w(ctx, x):\n    return time.time()\n"
    )
    with pytest.raises(Exception, match=r"ctx\.now"):
        await world.service.reload(world.settings())
    assert (await world.send("msg_after", "order.paid", {"order": "o9"}))[0] == 202
    await world.until(lambda: _closed(world, 1))
