"""Retention by the API: a preview changes nothing, a run drops what is over, and the evidence still holds."""

from __future__ import annotations

import asyncio
import json

import pytest

from rco.errors import Forbidden, NotFound
from rco.model.retention import RetentionClass, RetentionOptions, RunRule
from rco.model.wire_tenants import RetentionLine

OPTIONS = RetentionOptions(
    rate_per_s=100_000.0,
    classes={"short": RetentionClass(keep_s=0.001), "ever": RetentionClass()},
    runs=[
        RunRule(workflow="fail", keep="ever"),
        RunRule(outcome="completed", keep="short"),
        RunRule(outcome="failed", keep="short"),
    ],
    events="short",
)


@pytest.fixture
async def over(served):
    served.service._desk.retention.options = OPTIONS
    done = [await served.admin.start("greet", str(at)) for at in range(3)]
    kept = await served.admin.start("fail")
    waiting = await served.admin.start("ask")
    for run in (*done, kept):
        await served.admin.wait(run.id, timeout_s=20)
    await asyncio.sleep(0.01)  # the time that these are kept for
    return [run.id for run in done], kept.id, waiting.id


async def test_a_preview_counts_and_changes_nothing(served, over) -> None:
    done, _, _ = over
    for _ in range(2):
        view = await served.admin.retention.run(preview=True)
        assert view.preview
        assert [(one.kind, one.retention, one.count) for one in view.lines] == [("runs", "short", 3)]
        assert view.lines[0].since is not None
    for run_id in done:
        assert (await served.admin.run(run_id)).state == "completed"
    assert (await served.admin.retention.show()).at is None


async def test_what_is_over_goes_and_what_is_open_or_of_another_class_stays(served, over) -> None:
    done, kept, waiting = over
    view = await served.admin.retention.run()
    assert view.lines == [RetentionLine("runs", "short", 3)]
    assert await served.admin.retention.show() == view
    for run_id in done:
        with pytest.raises(NotFound):
            await served.admin.run(run_id)
    assert (await served.admin.run(kept)).state == "failed"
    assert (await served.admin.run(waiting)).closed_at is None
    await served.admin.signal(waiting, "answer", 1)
    assert (await served.admin.wait(waiting, timeout_s=20)).state == "completed"
    assert (await served.admin.retention.run()).lines in ([], [RetentionLine("runs", "short", 1)])
    assert 'rco_retention_dropped_total{kind="runs"}' in served.service.metrics.render().decode()


async def test_the_evidence_verifies_and_says_what_is_missing(served, over, tmp_path) -> None:
    from rco.audit.verify import verify
    from rco.store.sqlite.snapshot import open_snapshot
    from rco.verify.trims import Trims

    await served.admin.retention.run()
    export = b"".join([piece async for piece in served.admin.export_audit(journal=True)])
    verdict = verify(export.splitlines(keepends=True))
    assert verdict.ok, verdict.problems
    assert verdict.absent > 0
    # The same number stands in the chain: nothing else is missing.
    trims = Trims()
    for line in export.splitlines():
        for decision in json.loads(line).get("decisions", []):
            trims.take(decision)
    assert trims.segments[""] == verdict.absent
    with open_snapshot(tmp_path / "data" / "rco.db") as snapshot:
        assert snapshot.trimmed() == {"": trims.last_n[""]}


async def test_only_who_may_enter_everywhere_drops(served, over) -> None:
    for client in (served.operator, served.viewer):
        with pytest.raises(Forbidden):
            await client.retention.run()
        with pytest.raises(Forbidden):
            await client.retention.show()
