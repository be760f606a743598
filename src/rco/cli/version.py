"""``rco version``: this release; the versions of the application, and moving runs from one to another."""

from __future__ import annotations

import asyncio
import platform
import sqlite3
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

import rco
from rco.cli.exits import Exit
from rco.cli.output import SHOWN, Shown, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.client import Client
from rco.model.wire_versions import MoveRuns, MoveView

__all__ = ["app", "list_", "move", "progress", "version"]

_LOOK_S = 0.5
_Flag = Annotated[bool, Parameter(negative="")]
app = App(name="version", help="Say which release this is; see the application's versions, and move runs between them.")


@app.default
def version(*, shown: Shown = SHOWN) -> None:
    """Say which release this is, and what it runs on."""
    print_answer(
        {"rco": rco.__version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
        f"rco {rco.__version__} (Python {platform.python_version()}, SQLite {sqlite3.sqlite_version})",
        json=shown.json,
    )


@app.command(name="list")
def list_(*, link: Link = LINK) -> None:
    """List the application's versions: which nodes have them, and how many open runs are pinned to them."""
    page = ask(link, lambda client: client.versions())
    if link.json:
        print_json(page)
        return
    rows = [
        (
            one.name + ("  current" if one.current else ""),
            one.digest[:12],
            ", ".join(node.node + (" (every run)" if node.every else "") for node in one.nodes)
            or "none: its runs wait",
            str(one.open_runs),
        )
        for one in page.items
    ]
    print_table(("Version", "Digest", "Nodes", "Open runs"), rows, nothing="No versions: every node takes every run.")


@app.command
def move(
    *,
    from_: Annotated[str, Parameter(name="--from")],
    to: str,
    workflow: str | None = None,
    preview: _Flag = False,
    rate: float | None = None,
    reason: str = "",
    key: str | None = None,
    wait: _Flag = False,
    link: Link = LINK,
) -> int:
    """Move open runs to another version: each is replayed on its code first, and only those that fit are moved. The
    move is a run itself: rco run pause, resume and cancel steer it.

    Parameters
    ----------
    from_
        The version that the runs are pinned to.
    to
        The version to go on with; the node that is asked must have it.
    workflow
        Only runs of this workflow.
    preview
        Try all of them and move none. Waits for the end.
    rate
        At most so many runs a second.
    reason
        Why, for the evidence.
    key
        A second call with the same key is the same move.
    wait
        Until it has ended. Status 0 when every run that is still open was moved.
    """
    given = MoveRuns(start=from_, to=to, workflow=workflow, rate_per_s=rate, preview=preview, reason=reason, key=key)

    async def put(client: Client) -> int:
        started = await client.move_runs(given)
        if wait or preview:
            return await _follow(client, started.id, link.json)
        print_answer(started, f"{started.id}  {'begins' if started.created else 'was begun before'}", json=link.json)
        return Exit.OK

    return ask(link, put)


@app.command
def progress(move_id: str, *, wait: _Flag = False, link: Link = LINK) -> int:
    """Say how far a move is, and which runs stayed.

    Parameters
    ----------
    move_id
        Id of the move.
    wait
        Until it has ended. Status 0 when every run that is still open was moved.
    """

    async def put(client: Client) -> int:
        if wait:
            return await _follow(client, move_id, link.json)
        _tell(await client.move_at(move_id), link.json)
        return Exit.OK

    return ask(link, put)


async def _follow(client: Client, move_id: str, json: bool) -> int:
    at = await client.move_at(move_id)
    while at.closed_at is None:
        await asyncio.sleep(_LOOK_S)
        at = await client.move_at(move_id)
    _tell(at, json)
    return Exit.OK if at.state == "completed" and not (at.misfit or at.busy) else Exit.FAILED


def _tell(at: MoveView, json: bool) -> None:
    if json:
        print_json(at)
        return
    count = "?" if at.count is None else at.count
    fit = "would be moved" if at.preview else "moved"
    print_text(
        f"{at.id}  {at.start} -> {at.to}  {at.tried} of {count} tried: {at.fit} {fit}, {at.misfit} do not fit, "
        f"{at.busy} busy, {at.gone} closed meanwhile  {at.ended or at.state}"
    )
    for one in at.stayed:
        print_text(f"  {one.run_id}  {one.workflow}  {one.state}  {one.status}: {one.why}", "red")
        if isinstance(one.diff, dict):
            for side in ("recorded", "code"):
                print_text(f"    {side:<8}  {msgspec.json.encode(one.diff.get(side)).decode(errors='replace')}")
