"""For your own tests: run workflows on the real engine, in memory, under virtual time.

::

    from rco.testing import run_workflow

    ended = run_workflow(order, {"id": "o-1"}, calls={"POST shop /orders": {"number": 7}})
    assert ended.value == {"number": 7}

Sleeps and time-outs take no time; everything else is what happens in production: journal, retries, compensations, the
rules of targets. At every record the run is replayed from its journal, so that what is not deterministic fails here.
See ``docs/how-to/test-a-workflow.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rco.testing.answers import (
        cannot_connect,
        connection_lost,
        no_answer,
        node_dies,
        reply,
        slow,
        too_many,
    )
    from rco.testing.clocks import ManualClock
    from rco.testing.environment import Environment
    from rco.testing.failures import NotDeterministic, RunNotCompleted
    from rco.testing.histories import check_history
    from rco.testing.run import Run
    from rco.testing.running import crash_everywhere, run_workflow
    from rco.testing.seen import Emitted, Ended, Pending
    from rco.testing.stub_targets import Called

__all__ = [
    "Called",
    "Emitted",
    "Ended",
    "Environment",
    "ManualClock",
    "NotDeterministic",
    "Pending",
    "Run",
    "RunNotCompleted",
    "cannot_connect",
    "check_history",
    "connection_lost",
    "crash_everywhere",
    "no_answer",
    "node_dies",
    "reply",
    "run_workflow",
    "slow",
    "too_many",
]

_WHERE = {
    "answers": "cannot_connect connection_lost no_answer node_dies reply slow too_many",
    "clocks": "ManualClock",
    "environment": "Environment",
    "failures": "NotDeterministic RunNotCompleted",
    "histories": "check_history",
    "run": "Run",
    "running": "crash_everywhere run_workflow",
    "seen": "Emitted Ended Pending",
    "stub_targets": "Called",
}
_MODULE = {name: f"rco.testing.{module}" for module, names in _WHERE.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: pytest loads the plugin in here for every test run, and it must cost nothing."""
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULE[name]), name)
