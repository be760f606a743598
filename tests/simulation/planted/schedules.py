"""When schedules tick."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.simulation.planted.planting import Planted

from rco.kit.ids import Ids
from rco.scheduler import commit
from rco.scheduler import decide as deciding
from rco.scheduler import scheduler as looking
from rco.scheduler.commit import Commit
from rco.scheduler.scheduler import Scheduler
from rco.scheduler.ticks import Ticks
from rco.testing import transaction

__all__ = ["PLANTED"]


def tick_without_revision(patch: pytest.MonkeyPatch) -> None:
    """A schedule is written whatever it was decided on, and its starts have keys of their own."""

    def whatever(schedules: Any, writes: Any) -> Any:
        return schedules | {write.row.schedule_id: write.row for write in writes}

    patch.setattr(transaction, "changed_schedules", whatever)
    patch.setattr(transaction, "fence", lambda *_: None)
    patch.setattr(commit, "start_key", lambda _, due: f"schedule:{Ids().ulid()}:{due.tick_us}")


def advance_without_the_start(patch: pytest.MonkeyPatch) -> None:
    """The start is not in the commit of the advance, but follows it."""
    send = Commit.send

    def apart(self: Commit, made: Any, done: Any, failed: Any) -> None:
        alone = msgspec.structs.replace(made, starts=[], fires=[])

        def then(outcome: Any) -> None:
            done(outcome)
            if outcome.status == "accepted":
                for _, opening in made.starts:
                    changes = self._writer.changes(opening.row.run_id[15])
                    changes.opened.append(opening.row)
                    changes.opened_segments.append((opening.row.run_id, opening.segment))
                    changes.then.append((self._engine.begin, (opening,)))

        send(self, alone, then, failed)

    patch.setattr(Commit, "send", apart)


def forget_the_fresh_shards(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scheduler, "_gained", lambda *_: None)


def late_at_once(patch: pytest.MonkeyPatch) -> None:
    """A take-over counts as an outage for the catch-up policy."""
    patch.setattr(deciding, "LATE_US", 1_000_000)


def early_ticks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ticks, "fire_us", lambda _, __, tick_us: tick_us - 200_000)


def nobody_is_in_the_way(patch: pytest.MonkeyPatch) -> None:
    decide = deciding.decide
    patch.setattr(
        looking, "decide", lambda one, ticks, now, _, batch: decide(one, ticks, now, lambda run: False, batch)
    )


PLANTED: list[Planted] = [
    (tick_without_revision, "ticks", {"nodes": 3, "schedules": 3}),
    (advance_without_the_start, "ticks", {"schedules": 3}),
    (forget_the_fresh_shards, "ticks", {"nodes": 3, "schedules": 3}),
    (late_at_once, "ticks", {"schedules": 3}),
    (early_ticks, "ticks", {"schedules": 3}),
    (nobody_is_in_the_way, "ticks", {"schedules": 3}),
]
