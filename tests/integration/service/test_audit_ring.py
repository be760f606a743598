"""Row 38 of the bad inputs: the ring of decisions is full while nothing can be written, and everybody is answered."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from rco.store.sqlite.commit import Committer

SENT = 700  # the ring holds 512


async def test_row_38_a_full_ring_drops_the_oldest_counts_exactly_and_answers_all(world: Any, monkeypatch: Any) -> None:
    go, stuck = threading.Event(), threading.Event()
    commit = Committer.commit

    def held(self: Committer, *given: Any, **named: Any) -> Any:
        stuck.set()
        assert go.wait(60)
        return commit(self, *given, **named)

    monkeypatch.setattr(Committer, "commit", held)
    headers = {"content-type": "application/json"}
    try:
        assert (await world.post(b"{}", headers))[0] == 401
        await asyncio.to_thread(stuck.wait, 30)
        for _ in range(SENT):
            # Over the rate it is 429, which leaves a decision just the same.
            assert (await world.post(b"{}", headers))[0] in (401, 429)
    finally:
        go.set()

    async def all_told() -> bool:
        kept = [one for one in await world.decisions() if one["verb"] == "refuse"]
        return len(kept) + world.service._keeper.writer.notes_dropped == SENT + 1

    await world.until(all_told)
    dropped = world.service._keeper.writer.notes_dropped
    assert dropped >= SENT - 512
    text = world.service.metrics.render().decode()
    assert f"svc_interop_audit_drop_total {dropped}.0" in text
    assert f'svc_interop_queue_dropped_total{{queue="audit"}} {dropped}.0' in text
    # The oldest went: what came last is there.
    kept = [one["at_us"] for one in await world.decisions() if one["verb"] == "refuse"]
    assert kept == sorted(kept)
