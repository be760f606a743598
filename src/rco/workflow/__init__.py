"""Write workflows in Python.

::

    from rco.workflow import Context, workflow

    @workflow(on="order.created")
    async def fulfil(ctx: Context, event: dict) -> str:
        order = event["data"]
        await ctx.call("payments", "POST", "/charges", json={"order": order["id"], "cents": order["cents"]})
        await ctx.sleep(3600)
        return "done"

A workflow is an async function of a ``Context`` and an input. It may be stopped anywhere, by a crash or by parking,
and goes on by running again over its journal; so it must ask for the same things in the same order. What cannot be
replayed (clocks, randomness, tasks, sockets) is refused with the name of what to use instead.
"""

from rco.kit.backoff import Backoff
from rco.model.effect import Attempt, RetryPolicy
from rco.model.probe import Applied, NotApplied
from rco.model.target import CallResult, Repeat
from rco.workflow.body import Body
from rco.workflow.context import Context, attempt
from rco.workflow.definition import On, Workflow, workflow
from rco.workflow.probe import CallProbe, Probe

__all__ = [
    "Applied",
    "Attempt",
    "Backoff",
    "Body",
    "CallProbe",
    "CallResult",
    "Context",
    "NotApplied",
    "On",
    "Probe",
    "Repeat",
    "RetryPolicy",
    "Workflow",
    "attempt",
    "workflow",
]
