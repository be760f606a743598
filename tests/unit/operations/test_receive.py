"""What becomes of an event that a node cannot take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rco.errors import NotFound, Overloaded
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.event import Event
from rco.model.subscription import Subscription
from rco.operations.clearance import OPEN
from rco.operations.receive import openings
from rco.router.table import RoutingTable
from rco.telemetry.metrics import Metrics

EVENT = Event(
    id="e", source="s", type="paid", data=b"{}", time_us=1, received_us=1, corr_id="c", subject="x", origin="webhook"
)


def desk(problem: Exception) -> Any:
    def prepare(*_: Any, **__: Any) -> None:
        raise problem

    clock = SystemClock()
    table = RoutingTable.build([Subscription(name="s", workflow="w", type="paid")])
    return SimpleNamespace(
        engine=SimpleNamespace(prepare=prepare),
        router=table,
        metrics=Metrics(),
        clock=clock,
        ids=Ids(clock),
        clearance=OPEN,
        webhooks=None,
    )


def test_what_can_never_be_opened_is_a_dead_letter() -> None:
    opened, letters, _ = openings(desk(NotFound("no workflow")), EVENT, "provider:p")
    assert opened == []
    assert [letter.subscription for letter in letters] == ["s"]


def test_a_node_that_owns_no_shard_refuses_the_event_instead_of_laying_it_aside() -> None:
    """As after a pause that was longer than its lease. Accepted, it would start nothing until a person replays it."""
    with pytest.raises(Overloaded):
        openings(desk(Overloaded("This node owns no shard yet.")), EVENT, "provider:p")
