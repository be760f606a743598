"""``rco replay``: would the runs there are, or were, go on with this code?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from rco.cli.exits import Exit
from rco.cli.output import print_json, print_text

if TYPE_CHECKING:
    from rco.model.journal import Record
    from rco.model.run import RunRow

__all__ = ["Misfit", "Replayed", "replay"]

_Flag = Annotated[bool, Parameter(negative="")]
MISFITS_MAX = 1000


class Misfit(msgspec.Struct, frozen=True, kw_only=True):
    """A run that does not fit: what was recorded, and what the code asks for instead."""

    run_id: str
    workflow: str
    state: str
    why: str
    diff: dict[str, Any] | None = None


class Replayed(msgspec.Struct, kw_only=True):
    """What came of it. ``misfits``: the first thousand of those that do not fit."""

    runs: int = 0
    records: int = 0
    fit: int = 0
    misfits: list[Misfit] = []


def replay(
    file: Path | None = None,
    *,
    app: str,
    config: Path | None = None,
    store: str | None = None,
    workflow: str | None = None,
    open: _Flag = False,
    json: _Flag = False,
) -> int:
    """Replay recorded runs on the code there is, without doing anything: fit for a test, and before a release.

    Of a run that is open what it did must be what the code asks for; of one that closed its end too. Status 0 when all
    fit, 1 when one does not.

    Parameters
    ----------
    file
        What rco export --payloads wrote; without it the database itself is read, whether a service uses it or not.
    app
        The application: a file or a module.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: a SQLite file, or postgresql://...
    workflow
        Only runs of this workflow.
    open
        Only runs that are open.
    json
        The outcome as JSON, with the differences.
    """
    from rco.engine.rehearsing import rehearse
    from rco.kit.ids import id_text
    from rco.model.run import Mode
    from rco.operations.rehearsal import programs_of
    from rco.operations.view import state_of

    programs = programs_of(app)
    told = Replayed()
    for row, records in _histories(file, config, store):
        if (open and row.mode is Mode.CLOSED) or (workflow is not None and row.workflow != workflow):
            continue
        if row.workflow.startswith("rco."):
            continue
        told.runs += 1
        told.records += len(records)
        fit = rehearse(programs, row, records)
        told.fit += fit.fits
        if not fit.fits and len(told.misfits) < MISFITS_MAX:
            told.misfits.append(
                Misfit(
                    run_id=id_text(row.run_id), workflow=row.workflow, state=state_of(row), why=fit.why, diff=fit.diff
                )
            )
    if json:
        print_json(told)
    else:
        _print(told)
    return Exit.OK if told.fit == told.runs else Exit.FAILED


def _histories(file: Path | None, config: Path | None, store: str | None) -> Iterator[tuple[RunRow, list[Record]]]:
    from rco.operations.rehearsal import exported, stored

    if file is not None:
        with file.open("rb") as lines:
            yield from exported(lines)
        return
    from rco.cli.place import find_place
    from rco.cli.shelf import open_shelf
    from rco.store.opening import open_snapshot

    place = find_place(config, store)
    with (
        open_snapshot(place.where, place.options) as snapshot,
        open_shelf(config, snapshot.payload_space) as fetch,
    ):
        yield from stored(snapshot, fetch)


def _print(told: Replayed) -> None:
    for misfit in told.misfits:
        print_text(f"{misfit.run_id}  {misfit.workflow}  {misfit.state}  {misfit.why}", "red")
        if misfit.diff is not None:
            print_text(f"  recorded  {_plain(misfit.diff.get('recorded'))}")
            print_text(f"  code      {_plain(misfit.diff.get('code'))}")
    print_text(f"{told.fit} of {told.runs} runs fit")


def _plain(value: Any) -> str:
    return msgspec.json.encode(value).decode(errors="replace")
