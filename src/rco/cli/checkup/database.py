"""What any store is asked: whether its chains hold, and which runs do not get on."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rco.cli.checkup.report import Found, Word, fail, ok, warn
from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.run import Mode
from rco.operations.check_chain import ChainCheck, check_chains
from rco.store.contract.snapshot import Snapshot

__all__ = ["chain", "runs"]

SHOWN = 3
SAID_MAX = 400
OVERDUE_US = 60_000_000
STAGED_US = 300_000_000
"""They are moved within a second, or within two minutes where the node that put them died."""


def chain(snapshot: Snapshot, links: int) -> Iterator[Found]:
    """The newest links of each audit chain, and the journal under them."""
    found = check_chains(snapshot, links)
    broken = [one for one in found if one.problems]
    if not found:
        yield ok("audit chain", "empty")
    elif broken:
        said = "; ".join(f"{_of(one)}{problem}" for one in broken for problem in one.problems)
        cure = "Export it (rco audit export) and keep that; then restore a backup whose chain holds."
        yield fail("audit chain", said[:SAID_MAX], cure)
    elif len(found) == 1 and not found[0].chain:
        yield ok("audit chain", f"links {found[0].first} to {found[0].last} hold, head {found[0].head}")
    else:
        yield ok("audit chain", f"{sum(one.links for one in found)} links of {len(found)} chains hold")


def _of(checked: ChainCheck) -> str:
    return f"{checked.chain}: " if checked.chain else ""


def runs(snapshot: Snapshot, now_us: int, stuck_us: int, held: bool) -> Iterator[Found]:
    """Open runs that wait for something they will not get by themselves."""
    yield _stuck(snapshot, now_us, stuck_us, held)
    blocked, doubtful = snapshot.unsettled()
    yield _waiting(snapshot, Mode.BLOCKED, blocked)
    yield _waiting(snapshot, Mode.IN_DOUBT, doubtful)
    homeless = snapshot.homeless()
    if homeless:
        said = ", ".join(f"{one.count} of version {one.version}" for one in homeless)
        cure = "Start a node with that version (apps, app_version), or move them: rco version move."
        yield warn("versions", f"runs wait for code that no living node has: {said}"[:SAID_MAX], cure)
    else:
        yield ok("versions", "every open run's version is on a living node")
    count, first_us = snapshot.overdue(now_us - OVERDUE_US)
    if count:
        said = f"{count} parked run(s) were due, the first at {iso(first_us)}"
        cure = "They go on when it starts." if not held else "The owner is behind or stopped: look at its log."
        yield Found("timers", Word.FAIL if held else Word.WARN, said, cure)
    else:
        yield ok("timers", "none overdue")
    letters = snapshot.waiting_letters()
    if letters:
        yield warn("dead letters", f"{letters} wait", "rco letters list; cure the cause; rco letters replay ID")
    else:
        yield ok("dead letters", "none wait")
    yield from _content(snapshot, now_us)


def _content(snapshot: Snapshot, now_us: int) -> Iterator[Found]:
    """Nothing where all is well: most have no content store."""
    count, first_us = snapshot.staged(now_us - STAGED_US)
    if count:
        said = f"{count} small object(s) wait in the database to be moved, the first since {iso(first_us)}"
        cure = "None is lost. Look at objects.place and at content.behind in the log: the place takes none of them."
        yield warn("content", said, cure)


def _stuck(snapshot: Snapshot, now_us: int, stuck_us: int, held: bool) -> Found:
    stuck = snapshot.stuck_runs(now_us - stuck_us)
    if not stuck:
        return ok("stuck runs", f"none without progress for {stuck_us / 60e6:g} min")
    first = stuck[0]
    longest = f"{id_text(first.run_id)} of {first.workflow} since {iso(first.since_us)}"
    said = f"{len(stuck)} without progress, longest {longest}"
    if not held:
        return warn("stuck runs", said, "They go on when the service starts.")
    return warn("stuck runs", said, f"rco run show {id_text(first.run_id)} says what it waits for")


def _waiting(snapshot: Snapshot, mode: Mode, count: int) -> Found:
    name = "blocked runs" if mode is Mode.BLOCKED else "runs in doubt"
    if not count:
        return ok(name, "none")
    cures = []
    for run in snapshot.idle_runs(mode, SHOWN):
        run_id = id_text(run.run_id)
        if mode is Mode.BLOCKED:
            cures.append(f"rco run show {run_id} (the diff); with code that fits: rco run retry {run_id}")
        else:
            cures.append(f"rco run settle {run_id} '{_step(run.detail)}' done|failed|again --reason TEXT")
    more = f"{count} in all, oldest {id_text(snapshot.idle_runs(mode, 1)[0].run_id)}"
    return warn(name, more, "; ".join(cures))


def _step(detail: bytes | None) -> str:
    try:
        return str(msgspec.json.decode(detail or b"{}").get("step", "KEY")).replace("'", "?")
    except (msgspec.DecodeError, AttributeError):
        return "KEY"
