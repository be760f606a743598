"""``rco audit``: evidence out of a service, and its check without one."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import msgspec
from cyclopts import App, Parameter

from rco.cli.exits import Exit
from rco.cli.output import print_json, print_table
from rco.cli.reach import LINK, Link, ask
from rco.cli.whole import whole_file
from rco.client import Client
from rco.errors import NotFound
from rco.kit.clock import iso

if TYPE_CHECKING:
    from rco.audit.verdict import Verdict

__all__ = ["app"]

app = App(name="audit", help="Export evidence, and verify it without a service.")
_Flag = Annotated[bool, Parameter(negative="")]


@app.command
def export(
    *,
    out: Path | None = None,
    first: int = 1,
    last: int | None = None,
    journal: _Flag = False,
    run: str | None = None,
    link: Link = LINK,
) -> None:
    """Export the evidence chain as JSON lines.

    Parameters
    ----------
    out
        File to write, complete or not at all; standard output when not given.
    first
        Number of the first link.
    last
        Number of the last link; the newest when not given.
    journal
        Add what runs did, payloads included.
    run
        Only the proof of this run.
    """

    async def pull(client: Client, file: BinaryIO) -> bytes:
        header = b""
        async for piece in client.export_audit(first=first, last=last, journal=journal, run=run):
            if b"\n" not in header:
                header += piece
            file.write(piece)
        file.flush()
        return header.partition(b"\n")[0]

    if out is None:
        header = ask(link, lambda client: pull(client, sys.stdout.buffer))
    else:
        # A broken-off export must never look like a whole one.
        with whole_file(out) as file:
            header = ask(link, lambda client: pull(client, file))
    said = msgspec.json.decode(header)
    sys.stderr.write(f"links {said.get('first')} to {said.get('last')}, head {said.get('head')}\n")


@app.command
def verify(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    *,
    expect_head: str | None = None,
    complete: _Flag = False,
    json: _Flag = False,
) -> int:
    """Verify an export, or a file of the audit's sink. Needs no service. Status 6 when it does not hold.

    Parameters
    ----------
    file
        The export or the file; - reads standard input.
    expect_head
        Hash of the last link as noted outside the system: rules out a chain that was cut or written anew.
    complete
        A journal segment that is left out is a problem.
    json
        The verdict as JSON.
    """
    if str(file) == "-":
        verdict = _judged(sys.stdin.buffer, expect_head, complete)
    else:
        try:
            with file.open("rb") as lines:
                verdict = _judged(lines, expect_head, complete)
        except OSError as error:
            cure = "Name a file that rco audit export or the service wrote."
            raise NotFound(f"{file} cannot be read: {error.strerror}.", cure=cure) from None
    if json:
        print_json(verdict)
    else:
        sys.stdout.write(verdict.text())
    return Exit.OK if verdict.ok else Exit.BROKEN


@app.command
def recent(*, limit: int = 50, link: Link = LINK) -> None:
    """The newest decisions in the memory of a node, and how its sinks fare. Needs memory among audit.sinks.

    Parameters
    ----------
    limit
        So many at most.
    """
    found = ask(link, lambda client: client.recent_audit(limit=limit))
    if link.json:
        print_json(found)
        return
    rows = [
        (
            str(one.n),
            iso(one.decision["at_us"]),
            one.decision["verb"],
            "allow" if one.decision.get("allow", True) else "deny",
            one.decision.get("subject", ""),
            one.decision.get("reason", ""),
            one.decision.get("corr_id", ""),
        )
        for one in found.items
    ]
    print_table(
        ("n", "at", "verb", "decision", "subject", "reason", "corr_id"), rows, nothing="nothing was decided yet"
    )
    sinks = [(one.sink, str(one.written), str(one.dropped), str(one.waiting), one.head) for one in found.sinks]
    print_table(("sink", "written", "dropped", "waiting", "head"), sinks, nothing="no sinks")


def _judged(file: BinaryIO, expect_head: str | None, complete: bool) -> Verdict:
    """The verdict over an export or over a sink's records, whichever the first line is of."""
    from rco.audit.verify import read_lines, verify
    from rco.audit.verify_records import looks_like_records, verify_records

    lines = read_lines(file)
    first = next(lines, b"")
    every = chain((first,), lines) if first else lines
    if looks_like_records(first):
        return verify_records(every, expect_head=expect_head)
    return verify(every, expect_head=expect_head, complete=complete)
