"""``rco run``: start, watch and steer runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from rco.cli.bulk import bulk, progress
from rco.cli.exits import Exit
from rco.cli.given import JsonText, declared_attributes, duration_s, json_value
from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.cli.show_run import STYLES, print_run, watch_run
from rco.client import Client
from rco.model.wire import ForkRun, RunView, SettleAsk, StartedRun, State

__all__ = ["app"]

app = App(name="run", help="Start, watch and steer runs.")
app.command(bulk)
app.command(progress)
_ROUND_S = 30.0


@app.command
def start(
    workflow: str,
    *,
    input: JsonText = "null",
    key: str | None = None,
    attribute: list[str] | None = None,
    queue: str = "",
    fair_key: str = "",
    priority: int | None = None,
    wait: str | None = None,
    link: Link = LINK,
) -> int:
    """Start a run.

    Parameters
    ----------
    workflow
        Name of the workflow.
    input
        Input as JSON; @FILE reads a file, - reads standard input.
    key
        Idempotency key: the same key with the same request is the same run.
    attribute
        What the run is found by, as NAME=VALUE; a value that is a number or true or false in JSON is that. May be given
        again.
    queue
        Queue to wait in; the workflow's own where none is given.
    fair_key
        Whose turn it takes in the queue, such as a customer's name.
    priority
        0 goes first, 9 last.
    wait
        Wait for the run to close, at most this long (e.g. 30s), and show it.
    """
    value = json_value(input, "--input")
    said = declared_attributes(attribute or [])
    limit_s = duration_s(wait, "--wait") if wait is not None else 0.0

    async def put(client: Client) -> int:
        started = await client.start(
            workflow, value, key=key, attributes=said, queue=queue, fair_key=fair_key, priority=priority
        )
        if wait is not None:
            return _closed(await _wait(client, started.id, limit_s), link.json)
        print_answer(started, f"{started.id}  {'started' if started.created else 'was started before'}", json=link.json)
        return Exit.OK

    return ask(link, put)


@app.command(name="list")
def list_(
    *,
    workflow: str | None = None,
    state: State | None = None,
    corr_id: str | None = None,
    attribute: list[str] | None = None,
    after: str | None = None,
    limit: int = 50,
    link: Link = LINK,
) -> None:
    """List runs, newest first.

    Parameters
    ----------
    workflow
        Only runs of this workflow.
    state
        Only runs in this state.
    corr_id
        Only runs of this correlation id.
    attribute
        Only runs with this attribute: customer=c-7, or a range of numbers or times: amount>=100. May be given again.
    after
        Go on behind this run: the next of the page before.
    limit
        How many, at most 500.
    """
    page = ask(
        link,
        lambda client: client.runs(
            workflow=workflow, state=state, corr_id=corr_id, attributes=attribute or (), after=after, limit=limit
        ),
    )
    if link.json:
        print_json(page)
        return
    rows = [
        (run.id, run.workflow, (run.state, STYLES.get(run.state, "")), moment(run.opened_at), moment(run.closed_at))
        for run in page.items
    ]
    print_table(("ID", "Workflow", "State", "Opened", "Closed"), rows, nothing="No runs.")
    if page.next is not None:
        print_text(f"More: --after {page.next}", "dim")


@app.command
def show(run_id: str, *, link: Link = LINK) -> None:
    """Show one run with its timeline.

    Parameters
    ----------
    run_id
        Id of the run.
    """
    run = ask(link, lambda client: client.run(run_id))
    if link.json:
        print_json(run)
    else:
        print_run(run)


@app.command
def watch(run_id: str, *, link: Link = LINK) -> int:
    """Follow one run until it closes. Status 0 when it completed.

    Parameters
    ----------
    run_id
        Id of the run.
    """
    return ask(link, lambda client: watch_run(client, run_id, json=link.json))


@app.command
def signal(
    run_id: str, name: str, *, value: JsonText = "null", message_id: str | None = None, link: Link = LINK
) -> None:
    """Send a signal to a run.

    Parameters
    ----------
    run_id
        Id of the run.
    name
        Name of the signal.
    value
        Value as JSON; @FILE reads a file, - reads standard input.
    message_id
        A second signal with the same message id has no effect.
    """
    given = json_value(value, "--value")
    accepted = ask(link, lambda client: client.signal(run_id, name, given, message_id=message_id))
    _say(accepted, "accepted" if accepted.accepted else "was taken before", link.json)


@app.command
def cancel(
    run_id: str, *, reason: str = "", force: Annotated[bool, Parameter(negative="")] = False, link: Link = LINK
) -> None:
    """Cancel a run; its compensations run first.

    Parameters
    ----------
    run_id
        Id of the run.
    reason
        Why, for the evidence.
    force
        Terminate it instead: see rco run terminate.
    """
    accepted = ask(link, lambda client: client.cancel(run_id, reason, force=force))
    _say(accepted, "closed" if force else "is being cancelled", link.json)


@app.command
def terminate(run_id: str, *, reason: str = "", link: Link = LINK) -> None:
    """Close a run at once, in whatever state it is, without running any of its code: no compensation runs.

    Parameters
    ----------
    run_id
        Id of the run.
    reason
        Why, for the evidence.
    """
    accepted = ask(link, lambda client: client.terminate(run_id, reason))
    _say(accepted, "closed", link.json)


@app.command
def pause(run_id: str, *, reason: str = "", link: Link = LINK) -> None:
    """Set a run aside: nothing begins, and what comes for it is kept.

    Parameters
    ----------
    run_id
        Id of the run.
    reason
        Why, for the evidence.
    """
    accepted = ask(link, lambda client: client.pause(run_id, reason))
    _say(accepted, "is being paused" if accepted.accepted else "was paused before", link.json)


@app.command
def resume(run_id: str, *, reason: str = "", link: Link = LINK) -> None:
    """Let a paused run go on.

    Parameters
    ----------
    run_id
        Id of the run.
    reason
        Why, for the evidence.
    """
    accepted = ask(link, lambda client: client.resume(run_id, reason))
    _say(accepted, "goes on", link.json)


@app.command
def fork(
    run_id: str,
    *,
    step: str = "",
    key: str | None = None,
    reason: str = "",
    undone: Annotated[bool, Parameter(negative="")] = False,
    link: Link = LINK,
) -> None:
    """Open a run that begins with what this one did before a step, and does that step and the rest itself.

    Parameters
    ----------
    run_id
        Id of the run. It goes on as it did.
    step
        Key of the step, as rco run show prints it; without it the step that the run failed at.
    key
        The same key is the same fork.
    reason
        Why, for the evidence.
    undone
        Also where compensations have undone what is copied.
    """
    given = ForkRun(step=step, key=key, reason=reason, undone=undone)
    _opened(ask(link, lambda client: client.fork(run_id, given)), link.json)


@app.command
def reset(
    run_id: str,
    *,
    step: str,
    reason: str = "",
    undone: Annotated[bool, Parameter(negative="")] = False,
    link: Link = LINK,
) -> None:
    """Close a run, as terminated, and go on from a step in a fork of it.

    Parameters
    ----------
    run_id
        Id of the run.
    step
        Key of the step, as rco run show prints it.
    reason
        Why, for the evidence.
    undone
        Also where compensations have undone what is copied.
    """
    given = ForkRun(step=step, reason=reason, undone=undone)
    _opened(ask(link, lambda client: client.reset(run_id, given)), link.json)


def _opened(started: StartedRun, json: bool) -> None:
    print_answer(started, f"{started.id}  {'opened' if started.created else 'was opened before'}", json=json)


@app.command
def retry(run_id: str, *, failed_step: Annotated[bool, Parameter(negative="")] = False, link: Link = LINK) -> None:
    """Try again: a blocked run goes on, one that failed is started anew, or goes on from the step it failed at.

    Parameters
    ----------
    run_id
        Id of the run.
    failed_step
        What had succeeded is not done again: a new run goes on from the step that failed.
    """
    if failed_step:
        given = ForkRun(key="retry", reason="retry of the failed step")
        _opened(ask(link, lambda client: client.fork(run_id, given)), link.json)
        return
    accepted = ask(link, lambda client: client.retry(run_id))
    _say(accepted, "goes on", link.json)


@app.command
def settle(
    run_id: str,
    step: str,
    verdict: Literal["done", "failed", "again"],
    *,
    reason: str,
    value: JsonText = "null",
    link: Link = LINK,
) -> None:
    """Say what became of a step that is in doubt.

    Parameters
    ----------
    run_id
        Id of the run.
    step
        Key of the step, as rco run show prints it.
    verdict
        It was done, it failed, or do it again.
    reason
        How you know, for the evidence.
    value
        The step's result as JSON, when it was done; @FILE reads a file, - reads standard input.
    """
    given = SettleAsk(key=step, verdict=verdict, value=json_value(value, "--value"), reason=reason)
    accepted = ask(link, lambda client: client.settle(run_id, given))
    _say(accepted, "settled", link.json)


def _say(accepted: Any, text: str, json: bool) -> None:
    print_answer(accepted, f"{accepted.run_id}  {text}", json=json)


async def _wait(client: Client, run_id: str, limit_s: float) -> RunView:
    # The service holds one request for a minute at most, so a longer wait is several.
    left_s = limit_s
    while True:
        run = await client.wait(run_id, timeout_s=min(left_s, _ROUND_S))
        left_s -= _ROUND_S
        if run.closed_at is not None or left_s <= 0:
            return run


def _closed(run: RunView, json: bool) -> int:
    if json:
        print_json(run)
    else:
        print_run(run)
    return Exit.OK if run.state == "completed" else Exit.FAILED
