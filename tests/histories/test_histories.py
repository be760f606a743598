"""What every release recorded replays on the code of this one. A release whose histories are missing is found."""

from __future__ import annotations

from pathlib import Path

import pytest

import rco
from rco.engine.program import Program, Programs
from rco.engine.rehearsing import rehearse
from rco.model.journal import Kind
from rco.operations.rehearsal import exported, programs_of

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.jsonl"))
LATER = {"0.1.0": {Kind.BEGIN, Kind.VERSION, Kind.ATTRIBUTE}}
"""Kinds that a release did not have yet."""


def test_this_release_has_its_histories() -> None:
    assert HERE / f"{rco.__version__}.jsonl" in FILES, "record them: python -m tests.histories.record"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_replays(file: Path) -> None:
    programs = programs_of(str(HERE / "workflows.py"))
    kinds: set[int] = set()
    with file.open("rb") as lines:
        for row, records in exported(lines):
            kinds |= {record.kind for record in records}
            fit = rehearse(programs, row, records)
            assert fit.fits, f"{row.workflow} of {file.name}: {fit.why} {fit.diff}"
    assert kinds == set(Kind) - {Kind.OWNER} - LATER.get(file.stem, set())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_record_can_go_missing_or_change_unnoticed(file: Path) -> None:
    """Each record that says what a step came to, left out or under another key, is a difference."""
    programs = programs_of(str(HERE / "workflows.py"))
    tried = 0
    with file.open("rb") as lines:
        for row, records in exported(lines):
            for at, record in enumerate(records):
                if record.kind in (Kind.STEP_END, Kind.EMIT, Kind.STATE, Kind.COMPENSATE) and not _loser(records, at):
                    tried += 1
                    assert not rehearse(programs, row, [*records[:at], *records[at + 1 :]]).fits, record
    assert tried > 30


def _loser(records: list, at: int) -> bool:
    """The last of a journal may be missing: then the run is open, and waits for it."""
    return all(other.kind == Kind.CLOSE for other in records[at + 1 :]) and records[-1].kind != Kind.CLOSE


def test_a_program_that_is_not_there_is_said() -> None:
    with FILES[-1].open("rb") as lines:
        row, records = next(iter(exported(lines)))
    assert "no workflow named" in rehearse(Programs([]), row, records).why

    async def begin(*_: object) -> None:
        raise ZeroDivisionError

    fit = rehearse(Programs([Program(row.workflow, "2", begin)]), row, records)
    assert not fit.fits
    assert fit.diff is not None
