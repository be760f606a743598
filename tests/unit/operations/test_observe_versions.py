"""Runs that wait for a version are counted where nobody has it, by one node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rco.operations.observe_versions import VersionWatch
from rco.store.contract.versions import NodeVersion, OpenRuns
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))

    info = warning


class Reader:
    def __init__(self) -> None:
        self.nodes = [NodeVersion("one", "v1", True, True), NodeVersion("gone", "v2", True, False)]

    async def version_nodes(self) -> list[NodeVersion]:
        return self.nodes

    async def count_versions(self, namespace: str | None) -> list[OpenRuns]:
        assert namespace is None
        return [OpenRuns("v1", 5), OpenRuns("v2", 3)]


def value(metrics: Metrics, version: str) -> float:
    return metrics.gauge(signals.VERSION_WAITING, version=version).value


async def test_runs_of_a_version_that_no_living_node_has_are_counted() -> None:
    reader, log, metrics, owned = Reader(), Log(), Metrics(), {0}
    engine = SimpleNamespace(owns=owned.__contains__)
    desk: Any = SimpleNamespace(reader=reader, log=log, metrics=metrics, engine=engine)
    watch = VersionWatch()
    await watch.look(desk)
    assert (value(metrics, "v1"), value(metrics, "v2")) == (0, 3)
    await watch.look(desk)
    assert log.lines == [("versions.wait", {"version": "v2", "count": 3})]
    reader.nodes.append(NodeVersion("two", "v2", True, True))
    await watch.look(desk)
    assert (value(metrics, "v1"), value(metrics, "v2")) == (0, 0)
    assert log.lines[1:] == [("versions.wait_no_more", {"version": "v2"})]


async def test_a_node_that_takes_every_run_lets_none_wait_and_one_node_says_it_for_all() -> None:
    reader, log, metrics = Reader(), Log(), Metrics()
    owned = {0}
    desk: Any = SimpleNamespace(
        reader=reader, log=log, metrics=metrics, engine=SimpleNamespace(owns=owned.__contains__)
    )
    watch = VersionWatch()
    await watch.look(desk)
    assert value(metrics, "v2") == 3
    owned.clear()
    await watch.look(desk)
    assert value(metrics, "v2") == 0
    owned.add(0)
    reader.nodes.append(NodeVersion("any", "", False, True))
    await watch.look(desk)
    assert value(metrics, "v2") == 0
