"""A run and its timeline on a terminal."""

from __future__ import annotations

import msgspec

from rco.cli.exits import Exit
from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.client import Client
from rco.model.wire import RunView, TimelineEntry

__all__ = ["STYLES", "print_run", "watch_run"]

STYLES = {
    "completed": "green",
    "done": "green",
    "failed": "red",
    "timed_out": "red",
    "cancelled": "yellow",
    "terminated": "yellow",
    "blocked": "bold red",
    "in_doubt": "bold red",
    "retrying": "yellow",
    "running": "cyan",
    "waiting": "cyan",
    "paused": "yellow",
}
_COLUMNS = ("Time", "Kind", "Step", "Outcome", "Attempts", "Took", "Note")
_POLL_S = 1.0


def print_run(run: RunView) -> None:
    """The run, its result or error, and its timeline."""
    print_text(f"{run.id}  {run.workflow} {run.version}  {run.state}", STYLES.get(run.state, ""))
    for name, value in (("opened", run.opened_at), ("closed", run.closed_at), ("key", run.key), ("parent", run.parent)):
        if value:
            print_text(f"  {name:<8} {value}")
    if run.forked_from is not None:
        print_text(f"  {'fork of':<8} {run.forked_from.run_id} at {run.forked_from.step}")
    for fork in run.forks:
        print_text(f"  {'fork':<8} {fork}")
    if run.corr_id:
        print_text(f"  {'corr_id':<8} {run.corr_id}")
    if run.error is not None:
        print_text(f"  {'error':<8} {_plain(run.error)}", "red")
    elif run.closed_at is not None:
        print_text(f"  {'result':<8} {_plain(run.result)}")
    if run.timeline:
        print_text("")
        print_table(_COLUMNS, [_row(entry) for entry in run.timeline], nothing="")
    if run.timeline_cut:
        print_text("The middle of the timeline is left out.", "dim")


async def watch_run(client: Client, run_id: str, *, json: bool) -> int:
    """Print entries as they come and change, until the run closes."""
    seen: dict[int, TimelineEntry] = {}
    while True:
        run = await client.run(run_id)
        for index, entry in enumerate(run.timeline):
            if seen.get(index) != entry:
                seen[index] = entry
                if json:
                    print_json(entry)
                else:
                    print_text(
                        "  ".join(cell for cell in map(_cell, _row(entry)) if cell), STYLES.get(entry.outcome, "")
                    )
        if run.closed_at is not None:
            break
        await client.wait(run_id, timeout_s=_POLL_S)
    print_answer(
        msgspec.structs.replace(run, timeline=[]), f"{run.id}  {run.state}", STYLES.get(run.state, ""), json=json
    )
    return Exit.OK if run.state == "completed" else Exit.FAILED


def _row(entry: TimelineEntry) -> tuple[object, ...]:
    return (
        moment(entry.at, "milliseconds"),
        entry.kind,
        entry.key,
        (entry.outcome, STYLES.get(entry.outcome, "")),
        entry.attempts if entry.attempts > 1 else "",
        _took(entry.duration_ms),
        entry.note,
    )


def _cell(value: object) -> str:
    return str(value[0] if isinstance(value, tuple) else value)


def _took(duration_ms: float | None) -> str:
    if duration_ms is None:
        return ""
    return f"{duration_ms:.1f} ms" if duration_ms < 1000 else f"{duration_ms / 1000:.2f} s"


def _plain(value: object) -> str:
    return msgspec.json.encode(value).decode()
