"""For your own tests: run a workflow on the real engine, in memory, under virtual time.

::

    from rco.testing import run_workflow

    ended = run_workflow(order, {"id": "o-1"}, calls={"POST shop /orders": {"number": 7}})
    assert ended.value == {"number": 7}

Sleeps and time-outs take no time; everything else is what happens in production: journal, retries, compensations.
See ``docs/how-to/test-a-workflow.md``.
"""

from __future__ import annotations

from rco.testing.clocks import ManualClock
from rco.testing.running import Called, Ended, run_workflow

__all__ = ["Called", "Ended", "ManualClock", "run_workflow"]
