"""Deliver again: a new delivery of the same message to the same endpoint."""

from __future__ import annotations

import msgspec

from rco.engine.ask import StartAsk
from rco.errors import Conflict, NotFound
from rco.kit.ids import id_text
from rco.model.attribute import attribute
from rco.model.decision import Verb
from rco.model.endpoint import DELIVER, EndpointState
from rco.model.journal import decode_segment
from rco.model.payload import Reference, reference_in
from rco.model.principal import Principal, Role
from rco.model.run import RunRow
from rco.model.wire import StartedRun
from rco.operations.access import require
from rco.operations.command import command_decision, find_run
from rco.operations.deliver_run import Delivering
from rco.operations.delivery_asks import ENDPOINT, LARGE, MESSAGE
from rco.operations.desk import Desk
from rco.operations.recording import record

__all__ = ["delivering", "redeliver"]


async def redeliver(desk: Desk, principal: Principal, run_id: bytes, key: str) -> StartedRun:
    """Start a delivery of what ``run_id`` delivered or could not. Needs the operator's role.

    The message keeps its ``webhook-id``, so a receiver that has it drops it; its order is not kept. With the same
    ``key`` it is the same delivery, empty: another one each time. Raises ``NotFound`` for a run that is no delivery or
    whose endpoint is gone, ``Conflict`` while the endpoint is disabled.
    """
    require(principal, Role.OPERATOR)
    row = await find_run(desk, principal, run_id)
    spec, reference = await delivering(desk, row)
    endpoint = await desk.reader.endpoint(spec.endpoint)
    if endpoint is None or endpoint.state is EndpointState.DELETED:
        raise NotFound(f"endpoint {spec.endpoint} is gone.", cure="Make another; it gets what comes from then on.")
    if endpoint.state is EndpointState.DISABLED:
        raise Conflict(f"endpoint {spec.endpoint} is disabled.", cure="Enable it first: rco endpoint enable.")
    again = msgspec.structs.replace(spec, once=False, replay_of=id_text(run_id))
    await record(desk, command_decision(desk, principal, row, Verb.REPLAY, key, endpoint=spec.endpoint))
    started = await desk.engine.start_run(
        StartAsk(
            workflow=DELIVER,
            input=msgspec.to_builtins(again),
            key=f"{DELIVER}/replay:{id_text(run_id)}:{key}" if key else None,
            namespace=row.namespace,
            actor=f"principal:{principal.principal_id}",
            corr_id=row.corr_id,
            large=LARGE,
            attributes=(attribute(ENDPOINT, spec.endpoint), attribute(MESSAGE, spec.message_id)),
        ),
        reference,
    )
    return StartedRun(id=id_text(started.run_id), created=started.created)


async def delivering(desk: Desk, row: RunRow) -> tuple[Delivering, Reference | None]:
    """What a delivery was given, and where its data are kept if they are large. Raises ``NotFound`` for a run that is
    none."""
    segments = await desk.reader.journal(row.run_id) if row.workflow == DELIVER else []
    if not segments:
        raise NotFound(f"run {id_text(row.run_id)} is no delivery.", cure="See `rco endpoint deliveries`.")
    spec = msgspec.convert(decode_segment(segments[0].data)[0].body["input"], Delivering)
    kept = decode_segment(segments[0].data, stored=True)[0].body["input"]
    for name in LARGE:
        kept = kept.get(name) if isinstance(kept, dict) else None
    return spec, reference_in(kept)
