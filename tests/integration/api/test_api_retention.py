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


CUT = RetentionOptions(
    rate_per_s=1_000_000.0,
    classes={"short": RetentionClass(keep_s=0.001)},
    runs=[RunRule(keep="short")],
    events="short",
    evidence="short",
)


async def cut(served, links: int) -> None:
    """Give the chain a past of so many links that nothing needs any more, and let retention run."""
    served.service._desk.retention.options = CUT
    writer = served.service._keeper.writer
    for at in range(links):
        await writer.work(lambda _, decisions, at=at: decisions.append(_nothing(at)))
    await asyncio.sleep(0.01)


def _nothing(at: int):
    from rco.model.decision import Decision, Verb

    return Decision(verb=Verb.CONFIG, at_us=at, actor="test", subject="nothing")


async def export_of(served) -> list[bytes]:
    return b"".join([piece async for piece in served.admin.export_audit(journal=True)]).splitlines(keepends=True)


async def test_old_links_go_behind_a_checkpoint_and_what_is_left_verifies(served, tmp_path) -> None:
    from rco.audit.verify import verify
    from rco.operations.cut_evidence import LINKS

    done = await served.admin.start("greet", "x")
    await served.admin.wait(done.id, timeout_s=20)
    before = verify(await export_of(served))
    await cut(served, 2 * LINKS)
    preview = await served.admin.retention.run(preview=True)
    # What the run's journal is sealed in stays with it, and before that nothing may go.
    assert "links" not in [one.kind for one in preview.lines]
    view = await served.admin.retention.run()
    counted = {one.kind: one.count for one in view.lines}
    assert counted["links"] == 2 * LINKS
    lines = await export_of(served)
    verdict = verify(lines)
    assert verdict.ok, verdict.problems
    (begin,) = verdict.begins
    assert (begin.first, begin.checkpoint, begin.removed) == (2 * LINKS + 1, True, 2 * LINKS)
    assert not verdict.anchored
    assert f"at link {2 * LINKS + 1}, behind a checkpoint" in verdict.text()
    assert before.last < begin.first
    # It goes on, and is cut again behind the first cut.
    await cut(served, LINKS)
    assert {one.kind: one.count for one in (await served.admin.retention.run()).lines}["links"] == LINKS
    again = verify(await export_of(served))
    assert again.ok, again.problems
    assert [(one.first, one.checkpoint) for one in again.begins] == [(3 * LINKS + 1, True)]


async def test_a_beginning_that_nobody_cut_by_the_rules_shows(served, tmp_path) -> None:
    from rco.audit.verify import verify
    from rco.operations.cut_evidence import LINKS

    await cut(served, LINKS + 10)
    writer = served.service._keeper.writer
    await writer.work(lambda cursor, _: cursor.execute("DELETE FROM seal WHERE n < 5") and None)
    verdict = verify(await export_of(served))
    assert [(one.first, one.checkpoint) for one in verdict.begins] == [(5, False)]
    assert "taken on trust" in verdict.text()
    # Retention does not make good what it did not do: it refuses, and removes nothing.
    from rco.errors import EvidenceBroken

    with pytest.raises(EvidenceBroken, match="link 1 is missing"):
        await served.service._desk.retention.run(served.service._desk, "test")
    assert verify(await export_of(served)).begins[0].first == 5


async def test_links_that_were_changed_are_not_removed(served) -> None:
    from rco.errors import EvidenceBroken
    from rco.operations.cut_evidence import LINKS

    await cut(served, LINKS + 10)
    writer = served.service._keeper.writer
    await writer.work(lambda cursor, _: cursor.execute("UPDATE seal SET decisions = x'5b5d' WHERE n = 7") and None)
    with pytest.raises(EvidenceBroken, match="link 7 is not what was sealed"):
        await served.service._desk.retention.run(served.service._desk, "test")
    assert (await served.service._keeper.reader.seals(1, 1))[0].n == 1


async def test_what_a_feed_has_not_told_is_not_cut(served) -> None:
    from rco.operations.cut_evidence import LINKS, EvidenceCut

    await cut(served, 3 * LINKS)
    await served.admin.retention.run(preview=True)
    keeper, desk = served.service._keeper, served.service._desk
    # Whatever runs there were go first: their journals hold links.
    runs_only = CUT
    desk.retention.options = runs_only
    behind = EvidenceCut(keeper.retaining, lambda: ["events", "other"])
    await keeper.reader.move_cursor("events/", 2 * LINKS + 3)
    await keeper.reader.move_cursor("other/", LINKS + 7)
    now_us = desk.clock.now_us()
    assert await behind.run(desk, CUT, now_us, "test") == LINKS
    assert (await keeper.reader.seals(1, 1))[0].n == LINKS + 1


async def test_the_checker_of_deployments_knows_a_cut_from_a_loss(served, tmp_path) -> None:
    import msgspec

    from rco.operations.cut_evidence import LINKS
    from rco.operations.export_runs import export_runs
    from rco.store.opening import open_snapshot
    from rco.verify.check import check
    from rco.verify.lines import ExportLine

    def verdict(drop: int = 0):
        with open_snapshot(str(served.service._ground.where)) as snapshot:
            lines = list(export_runs(snapshot, at_us=1, version="test", payloads=True))
        decoded = [msgspec.json.decode(line, type=ExportLine) for line in lines]
        links = [line for line in decoded if type(line).__name__ == "Link"][:drop]
        return check(line for line in decoded if line not in links)

    done = await served.admin.start("greet", "x")
    await served.admin.wait(done.id, timeout_s=20)
    await cut(served, LINKS)
    await served.admin.retention.run()
    waiting = await served.admin.start("ask")
    told = {one.rule: one for one in verdict().rules}
    assert told["h"].findings == ()
    assert "behind a checkpoint" in told["h"].evidence
    assert told["d"].findings == ()
    lost = {one.rule: one for one in verdict(drop=3).rules}["h"]
    assert any("no checkpoint says" in one for one in lost.findings)
    assert waiting.id
