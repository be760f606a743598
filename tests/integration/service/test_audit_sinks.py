"""The sinks of a whole service under load: what was received is accepted or refused by reason, in every sink alike."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rco.audit.options import AuditOptions
from rco.audit.verify_records import verify_records
from rco.errors import NotFound

SENT = 900
FIELDS = {"verb", "at_us", "corr_id", "reason", "subject", "facts", "allow"}


@pytest.fixture
def audited(world: Any, tmp_path: Path, monkeypatch: Any) -> Path:
    """From the next start on there are all sinks."""
    path = tmp_path / "audit.jsonl"
    settings = world.settings
    audit = AuditOptions(sinks=["store", "file", "memory"], file=str(path), ring=500, queue=4096)
    monkeypatch.setattr(world, "settings", lambda **more: settings(audit=audit, **more))
    return path


def counts(text: str, name: str) -> dict[str, int]:
    return {label: int(float(number)) for label, number in re.findall(rf"^{name}\{{(.*?)\}} (.*)$", text, re.MULTILINE)}


async def test_received_is_accepted_and_refused_by_reason_in_every_sink(world: Any, audited: Path) -> None:
    await world.again()
    gate = asyncio.Semaphore(20)

    async def one(number: int) -> int:
        async with gate:
            match number % 5:
                case 0 | 1:
                    status, _ = await world.send(f"msg_{number}", "noted", {"n": number})
                case 2:
                    status, _ = await world.send("msg_0", "noted", {"n": 0})  # once more
                case 3:
                    status, _ = await world.post(b"{}", {"content-type": "application/json"})
                case _:
                    status, _ = await world.post(b"{}", {"content-type": "application/json"}, provider="nobody")
            return int(status)

    statuses = Counter(await asyncio.gather(*(one(number) for number in range(SENT))))
    text = world.service.metrics.render().decode()
    rejected = counts(text, "svc_interop_rejected_total")
    assert statuses[202] + sum(rejected.values()) == SENT == sum(statuses.values())
    assert sum(counts(text, "svc_interop_requests_total").values()) == SENT

    found = await world.client.recent_audit(limit=1000)
    assert len(found.items) == 500
    file = next(sink for sink in found.sinks if sink.sink == "file")
    memory = next(sink for sink in found.sinks if sink.sink == "memory")
    assert memory.written == found.displaced + 500 == file.written + file.dropped + file.waiting
    accept = next(one.decision for one in found.items if one.decision["verb"] == "accept")
    assert accept["event"].startswith("msg_")
    assert accept["b3"].startswith("b3:")
    assert accept["corr_id"]
    assert accept["facts"]["secret_id"] == "one"
    assert accept["facts"]["latency_bucket"].startswith("le_")
    refuse = next(one.decision for one in found.items if one.decision["verb"] == "refuse")
    assert refuse.keys() >= FIELDS
    assert refuse["facts"]["latency_bucket"]

    await world.stop()
    lines = audited.read_bytes().splitlines(keepends=True)
    await world.start()
    verdict = verify_records(lines)
    assert verdict.ok, verdict.text()
    assert verdict.dropped == 0
    kept = [msgspec.json.decode(line)["decision"] for line in lines]
    by_verb = Counter(one["verb"] for one in kept)
    assert by_verb["accept"] == statuses[202]
    assert by_verb["refuse"] == sum(rejected.values())
    # The store says the same, and knows where the file ended.
    stored = await world.decisions()
    assert Counter(one["corr_id"] for one in stored if one["verb"] in ("accept", "refuse")) == Counter(
        one["corr_id"] for one in kept if one["verb"] in ("accept", "refuse")
    )
    closed = [one for one in stored if one.get("reason") == "sink_closed" and one["subject"] == "audit.file"]
    assert closed[-1]["facts"]["head"] == verdict.head
    emitted = counts(text, "svc_interop_audit_emitted_total")
    assert emitted['sink="memory"'] == memory.written


async def test_without_memory_there_is_nothing_recent_and_the_answer_says_the_cure(world: Any) -> None:
    with pytest.raises(NotFound, match="memory"):
        await world.client.recent_audit()
