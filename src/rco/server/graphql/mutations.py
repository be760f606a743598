"""What may be changed, with a capability: start, signal and cancel a run."""

from __future__ import annotations

import strawberry
from strawberry.scalars import JSON

from rco.engine.ask import StartAsk
from rco.errors import Reason, Refused
from rco.kit.ids import id_text
from rco.operations.cancel import cancel
from rco.operations.signal import signal
from rco.operations.start import start
from rco.server.graphql.context import Asked, identity

__all__ = ["Mutation"]


@strawberry.type(description="The run that was asked for. `created` is false when the key stands for it already.")
class StartedRun:
    id: strawberry.ID
    created: bool


@strawberry.type(description="What became of a command. `accepted` is false when it had been taken before.")
class Accepted:
    accepted: bool
    run_id: strawberry.ID


@strawberry.type
class Mutation:
    @strawberry.mutation(description="Start a run. The same key with the same input is the same run.")
    async def start_run(
        self, info: Asked, workflow: str, input: JSON | None = None, key: str | None = None
    ) -> StartedRun:
        context = info.context
        context.change()
        ask = StartAsk(
            workflow=_name(workflow, "workflow"),
            input=input,
            key=None if key is None else _name(key, "key"),
            namespace=context.principal.namespace,
            actor=context.principal.name,
            corr_id=context.corr_id,
            trace=context.trace,
        )
        started = await start(context.desk, context.principal, ask, context.b3)
        return StartedRun(id=strawberry.ID(id_text(started.run_id)), created=started.created)

    @strawberry.mutation(description="Send a signal to a run. A second one with the same messageId has no effect.")
    async def signal_run(
        self,
        info: Asked,
        run_id: strawberry.ID,
        name: str,
        value: JSON | None = None,
        message_id: str | None = None,
    ) -> Accepted:
        context = info.context
        context.change()
        number = _name(message_id, "messageId") if message_id is not None else id_text(context.desk.ids.uuid7())
        target = identity(run_id, "runId")
        new = await signal(context.desk, context.principal, target, _name(name, "name"), value, number, context.b3)
        return Accepted(accepted=new, run_id=strawberry.ID(id_text(target)))

    @strawberry.mutation(description="Ask a run to cancel; its compensations run first.")
    async def cancel_run(self, info: Asked, run_id: strawberry.ID, reason: str = "") -> Accepted:
        context = info.context
        context.change()
        if len(reason) > 1000:
            raise Refused(Reason.MALFORMED, "too_long", "reason: longer than 1000 characters.")
        target = identity(run_id, "runId")
        await cancel(context.desk, context.principal, target, reason, b3=context.b3)
        return Accepted(accepted=True, run_id=strawberry.ID(id_text(target)))


def _name(text: str, field: str) -> str:
    if not 1 <= len(text) <= 200:
        raise Refused(Reason.MALFORMED, "bad_name", f"{field}: has {len(text)} characters; give 1 to 200.")
    return text
