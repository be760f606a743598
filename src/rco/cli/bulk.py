"""``rco run bulk`` and ``rco run progress``: one command to many runs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from cyclopts import Parameter

from rco.cli.exits import Exit
from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.client import Client
from rco.model.wire import RunSelection, State
from rco.model.wire_bulk import BulkAsk, BulkPreview, BulkView

__all__ = ["bulk", "progress"]

_LOOK_S = 0.5


def bulk(
    action: Literal["retry", "retry-step", "cancel", "terminate", "pause", "resume"],
    *,
    state: State,
    workflow: str | None = None,
    corr_id: str | None = None,
    opened_after: str | None = None,
    opened_before: str | None = None,
    code: str | None = None,
    text: str | None = None,
    attribute: list[str] | None = None,
    preview: Annotated[bool, Parameter(negative="")] = False,
    rate: float | None = None,
    stop_after_failures: int | None = None,
    reason: str = "",
    key: str | None = None,
    wait: Annotated[bool, Parameter(negative="")] = False,
    link: Link = LINK,
) -> int:
    """Give one command to many runs. It is a run itself: rco run pause, resume and cancel steer it.

    Parameters
    ----------
    action
        What to do; retry-step goes on from the step that failed, terminate closes without running any code.
    state
        Only runs in this state.
    workflow
        Only runs of this workflow.
    corr_id
        Only runs of this correlation id.
    opened_after
        Only runs opened at or after this time, e.g. 2026-11-21T08:00:00Z.
    opened_before
        Only runs opened before this time.
    code
        Only runs that closed with this error code, or are blocked, in doubt or paused for this cause.
    text
        Only runs with this text in their error or result, their key or their correlation id.
    attribute
        Only runs with this attribute: customer=c-7, or a range of numbers or times: amount>=100. May be given again.
    preview
        Only say how many runs that are, and show the newest.
    rate
        At most so many a second.
    stop_after_failures
        Stop when more than so many could not take the command.
    reason
        Why, for the evidence.
    key
        The same key is the same bulk.
    wait
        Show how far it is until it has ended. Status 0 when no run failed to take the command.
    """
    where = RunSelection(
        state=state,
        workflow=workflow,
        corr_id=corr_id,
        opened_after=opened_after,
        opened_before=opened_before,
        code=code,
        text=text,
        attributes=attribute or [],
    )
    if preview:
        _show(ask(link, lambda client: client.preview_bulk(where)), link.json)
        return Exit.OK
    given = BulkAsk(
        action=action, where=where, rate_per_s=rate, stop_after_failures=stop_after_failures, reason=reason, key=key
    )

    async def put(client: Client) -> int:
        started = await client.bulk(given)
        if wait:
            return await _follow(client, started.id, link.json)
        print_answer(started, f"{started.id}  {'begins' if started.created else 'was begun before'}", json=link.json)
        return Exit.OK

    return ask(link, put)


def progress(bulk_id: str, *, wait: Annotated[bool, Parameter(negative="")] = False, link: Link = LINK) -> int:
    """Say how far a bulk is.

    Parameters
    ----------
    bulk_id
        Id of the bulk.
    wait
        Until it has ended. Status 0 when no run failed to take the command.
    """

    async def put(client: Client) -> int:
        if wait:
            return await _follow(client, bulk_id, link.json)
        _tell(await client.bulk_at(bulk_id), link.json)
        return Exit.OK

    return ask(link, put)


async def _follow(client: Client, bulk_id: str, json: bool) -> int:
    before: BulkView | None = None
    while True:
        at = await client.bulk_at(bulk_id)
        if at != before:
            _tell(at, json)
            before = at
        if at.closed_at is not None:
            for one in at.errors if not json else ():
                print_text(f"  {one.run_id}  {one.message}", "red")
            return Exit.OK if at.state == "completed" and not at.failed else Exit.FAILED
        await asyncio.sleep(_LOOK_S)


def _tell(at: BulkView, json: bool) -> None:
    if json:
        print_json(at)
        return
    count = "?" if at.count is None else at.count
    print_text(f"{at.id}  {at.action}  {at.done} of {count} done, {at.failed} failed  {at.ended or at.state}")


def _show(found: BulkPreview, json: bool) -> None:
    if json:
        print_json(found)
        return
    print_text(f"{found.count} runs")
    rows = [(run.id, run.workflow, run.state, moment(run.opened_at), moment(run.closed_at)) for run in found.sample]
    print_table(("ID", "Workflow", "State", "Opened", "Closed"), rows, nothing="No runs.")
