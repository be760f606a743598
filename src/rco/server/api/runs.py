"""/v1/runs: start, list, show, wait, signal, cancel, terminate, pause, resume, fork, reset, settle, retry."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from rco.engine.ask import StartAsk, Started
from rco.engine.forking import ForkAsk
from rco.kit.ids import id_text
from rco.model.run import Outcome
from rco.model.wire import (
    Accepted,
    CancelAsk,
    ForkRun,
    PauseAsk,
    RunPage,
    RunView,
    SettleAsk,
    SignalAsk,
    StartedRun,
    StartRun,
    State,
    TerminateAsk,
)
from rco.operations.cancel import cancel
from rco.operations.fork import fork, reset
from rco.operations.inspect_runs import PAGE_MAX, WAIT_S_MAX, list_runs, show_run, wait_run
from rco.operations.pause import pause, resume
from rco.operations.retry import retry
from rco.operations.settle import settle
from rco.operations.signal import signal
from rco.operations.start import start
from rco.operations.terminate import terminate
from rco.operations.view import MODES_OF
from rco.server.api.asked import ERRORS, Ask, asked, declared, filters, identity
from rco.store.contract.reader import RunFilter

__all__ = ["ROUTES"]

_SAME = {200: ResponseSpec(StartedRun, description="The key stands for this run already", generate_examples=False)}


@post("/v1/runs", tags=["runs"], operation_id="startRun", responses={**ERRORS, **_SAME})
async def start_run(request: Ask, data: JSONBody[StartRun]) -> Response[StartedRun]:
    """Start a run, as an operator or with a capability for it. 201: opened; 200: the key stands for this run already;
    409: for another request."""
    desk, principal, corr_id, trace = asked(request)
    ask = StartAsk(
        workflow=data.workflow,
        input=data.input,
        key=data.key,
        attributes=declared(data.attributes),
        queue=data.queue,
        fair_key=data.fair_key,
        priority=data.priority,
        namespace=principal.namespace,
        actor=principal.name,
        corr_id=corr_id,
        trace=trace,
    )
    return _opened(await start(desk, principal, ask, str(request.scope.get("body_b3", ""))))


@get("/v1/runs", tags=["runs"], operation_id="listRuns", responses=ERRORS)
async def runs(
    request: Ask,
    workflow: Annotated[str | None, QueryParameter(max_length=200)] = None,
    run_state: Annotated[State | None, QueryParameter(name="state")] = None,
    corr_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
    attribute: Annotated[list[str] | None, QueryParameter(max_items=8)] = None,
    after: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
) -> RunPage:
    """Runs, newest first; ``after`` is the ``next`` of the page before. ``attribute``: ``customer:c-7``,
    ``amount>=100``; each that is given must hold."""
    desk, principal, _, _ = asked(request)
    where = RunFilter(
        workflow=workflow,
        mode=MODES_OF.get(run_state) if run_state else None,
        outcome=Outcome(run_state) if run_state and run_state not in MODES_OF else None,
        corr_id=corr_id,
        attributes=filters(attribute or (), "attribute"),
        after=identity(after, "after") if after else None,
        limit=limit,
    )
    return await list_runs(desk, principal, where)


@get("/v1/runs/{run_id:str}", tags=["runs"], operation_id="showRun", responses=ERRORS)
async def run(request: Ask, run_id: FromPath[str]) -> RunView:
    """One run with its result and its timeline."""
    desk, principal, _, _ = asked(request)
    return await show_run(desk, principal, identity(run_id, "run_id"))


@get("/v1/runs/{run_id:str}/wait", tags=["runs"], operation_id="waitRun", responses=ERRORS)
async def wait(
    request: Ask,
    run_id: FromPath[str],
    timeout_s: Annotated[float, QueryParameter(name="timeout", ge=0, le=WAIT_S_MAX)] = 30.0,
) -> RunView:
    """The run once it has closed, or as it is after ``timeout`` seconds; without a timeline."""
    desk, principal, _, _ = asked(request)
    return await wait_run(desk, principal, identity(run_id, "run_id"), timeout_s)


@post("/v1/runs/{run_id:str}/signal", tags=["runs"], operation_id="signalRun", status_code=202, responses=ERRORS)
async def signal_run(request: Ask, run_id: FromPath[str], data: JSONBody[SignalAsk]) -> Accepted:
    """Send a signal. ``accepted`` false: this ``message_id`` was taken before."""
    desk, principal, _, _ = asked(request)
    message_id = data.message_id or id_text(desk.ids.uuid7())
    b3 = str(request.scope.get("body_b3", ""))
    new = await signal(desk, principal, identity(run_id, "run_id"), data.name, data.value, message_id, b3)
    return Accepted(accepted=new, run_id=run_id)


@post("/v1/runs/{run_id:str}/cancel", tags=["runs"], operation_id="cancelRun", status_code=202, responses=ERRORS)
async def cancel_run(request: Ask, run_id: FromPath[str], data: JSONBody[CancelAsk]) -> Accepted:
    """Ask the run to cancel. Its compensations run before it closes."""
    desk, principal, _, _ = asked(request)
    b3 = str(request.scope.get("body_b3", ""))
    await cancel(desk, principal, identity(run_id, "run_id"), data.reason, force=data.force, b3=b3)
    return Accepted(accepted=True, run_id=run_id)


@post("/v1/runs/{run_id:str}/terminate", tags=["runs"], operation_id="terminateRun", status_code=202, responses=ERRORS)
async def terminate_run(request: Ask, run_id: FromPath[str], data: JSONBody[TerminateAsk]) -> Accepted:
    """Close the run at once, in whatever state it is, without running any of its code: no compensation runs."""
    desk, principal, _, _ = asked(request)
    await terminate(desk, principal, identity(run_id, "run_id"), data.reason)
    return Accepted(accepted=True, run_id=run_id)


@post("/v1/runs/{run_id:str}/pause", tags=["runs"], operation_id="pauseRun", status_code=202, responses=ERRORS)
async def pause_run(request: Ask, run_id: FromPath[str], data: JSONBody[PauseAsk]) -> Accepted:
    """Set the run aside: nothing begins, what comes is kept. ``accepted`` false: it was paused before."""
    desk, principal, _, _ = asked(request)
    new = await pause(desk, principal, identity(run_id, "run_id"), data.reason, data.message_id or "")
    return Accepted(accepted=new, run_id=run_id)


@post("/v1/runs/{run_id:str}/resume", tags=["runs"], operation_id="resumeRun", status_code=202, responses=ERRORS)
async def resume_run(request: Ask, run_id: FromPath[str], data: JSONBody[PauseAsk]) -> Accepted:
    """Let a paused run go on. One that is not paused goes on as it did."""
    desk, principal, _, _ = asked(request)
    await resume(desk, principal, identity(run_id, "run_id"), data.reason, data.message_id or "")
    return Accepted(accepted=True, run_id=run_id)


@post("/v1/runs/{run_id:str}/fork", tags=["runs"], operation_id="forkRun", responses={**ERRORS, **_SAME})
async def fork_run(request: Ask, run_id: FromPath[str], data: JSONBody[ForkRun]) -> Response[StartedRun]:
    """Open a run that begins with what this one did before a step. 200: the key stands for such a run already."""
    desk, principal, _, _ = asked(request)
    return _opened(await fork(desk, principal, identity(run_id, "run_id"), _fork_ask(data)))


@post("/v1/runs/{run_id:str}/reset", tags=["runs"], operation_id="resetRun", responses={**ERRORS, **_SAME})
async def reset_run(request: Ask, run_id: FromPath[str], data: JSONBody[ForkRun]) -> Response[StartedRun]:
    """Close the run, as terminated, and go on from a step in a fork of it. 200: that was done before."""
    desk, principal, _, _ = asked(request)
    return _opened(await reset(desk, principal, identity(run_id, "run_id"), _fork_ask(data)))


def _fork_ask(data: ForkRun) -> ForkAsk:
    return ForkAsk(step=data.step, key=data.key or "", reason=data.reason, undone=data.undone)


def _opened(started: Started) -> Response[StartedRun]:
    body = StartedRun(id=id_text(started.run_id), created=started.created)
    return Response(body, status_code=201 if started.created else 200)


@post("/v1/runs/{run_id:str}/settle", tags=["runs"], operation_id="settleRun", status_code=202, responses=ERRORS)
async def settle_run(request: Ask, run_id: FromPath[str], data: JSONBody[SettleAsk]) -> Accepted:
    """Say what became of a step that is in doubt."""
    desk, principal, _, _ = asked(request)
    await settle(desk, principal, identity(run_id, "run_id"), data.key, data.verdict, data.value, data.reason)
    return Accepted(accepted=True, run_id=run_id)


@post("/v1/runs/{run_id:str}/retry", tags=["runs"], operation_id="retryRun", status_code=202, responses=ERRORS)
async def retry_run(request: Ask, run_id: FromPath[str]) -> Accepted:
    """Try again: a blocked run goes on, a failed one is started anew. ``run_id`` is the run that goes on."""
    desk, principal, _, _ = asked(request)
    going = await retry(desk, principal, identity(run_id, "run_id"))
    return Accepted(accepted=True, run_id=id_text(going))


ROUTES = [
    start_run,
    runs,
    run,
    wait,
    signal_run,
    cancel_run,
    terminate_run,
    pause_run,
    resume_run,
    fork_run,
    reset_run,
    settle_run,
    retry_run,
]
