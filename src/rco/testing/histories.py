"""Recorded histories: what runs did, in a file, replayed on the code of today.

The file is an export (``rco-export/1``, docs/reference/export-format.md) as the service writes it, so ``rco replay``
reads one of a test, and a test reads one of production.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import rco
from rco.engine.program import Programs
from rco.engine.rehearsing import rehearse
from rco.errors import Misuse
from rco.operations.export_runs import export_runs
from rco.operations.rehearsal import exported, programs_of, rehearsed
from rco.store.contract.namespace_keys import NamespaceKey
from rco.store.contract.reader import Segment
from rco.store.contract.snapshot import History, LeaseRange, NodeRow, Snapshot
from rco.store.contract.writer import Seal
from rco.testing.failures import NotDeterministic
from rco.testing.seen import Ended
from rco.testing.store import MAIN_CHAIN
from rco.testing.tables import Tables
from rco.workflow import Workflow
from rco.workflow.application import Application

__all__ = ["check_history", "export_tables", "history_of"]


class _Moment:
    """The parts of ``rco.store.contract.snapshot.Snapshot`` that an export asks for, over the model's tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def schema(self) -> str:
        return ""

    def payload_space(self) -> str:
        return "0" * 16

    def chains(self) -> list[str]:
        # There is one node, and so one chain, which needs no name.
        return [""]

    def head(self, chain: str = "") -> Seal | None:
        seals = self._tables.chains.get(chain or MAIN_CHAIN)
        return seals[-1] if seals else None

    def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:
        return [seal for seal in self._tables.chains.get(chain or MAIN_CHAIN, ()) if seal.n >= first_n][:limit]

    def leases(self) -> list[LeaseRange]:
        return []

    def nodes(self) -> list[NodeRow]:
        return []

    def namespace_keys(self) -> list[NamespaceKey]:
        return sorted(self._tables.namespace_keys, key=lambda key: key.seq)

    def histories(self) -> Iterator[History]:
        tables = self._tables
        for run_id in sorted((*tables.runs, *tables.closed)):
            row = tables.row(run_id)
            assert row is not None
            segments: list[Segment] = tables.journal.get(run_id, [])
            messages = list(tables.messages.get(run_id, {}).values())
            yield History(row, segments, messages, tables.timers.get(run_id))


def export_tables(tables: Tables, at_us: int) -> bytes:
    """All runs, with their payloads."""
    snapshot = cast("Snapshot", _Moment(tables))
    return b"".join(export_runs(snapshot, at_us=at_us, version=rco.__version__, payloads=True))


def history_of(run: Any) -> bytes:
    """The history of an ``Ended``, a ``Run`` or an ``Environment``. Raises ``Misuse`` for anything else."""
    if isinstance(run, Ended):
        return run.history
    environment = getattr(run, "environment", run)
    if not callable(getattr(environment, "history", None)):
        raise Misuse(f"{run!r} has no history.", cure="Give what run_workflow gave, a run, or an environment.")
    told: bytes = environment.history()
    return told


def check_history(path: Path | str, *workflows: Workflow[Any, Any] | str) -> int:
    """Replay every run in the file on ``workflows`` (or on the application of that file or module). Returns how many.

    Nothing is done: no step runs and no call leaves. Raises ``NotDeterministic`` with what was recorded and what the
    code asks for instead; ``Misuse`` for a file without runs, or when a workflow of it was not given.
    """
    if not workflows:
        raise Misuse("no workflow was given.", cure="check_history(path, my_workflow), or the application's file.")
    programs = _programs(workflows)
    count = 0
    with Path(path).open("rb") as lines:
        for row, records in exported(lines):
            if row.workflow.startswith("rco."):
                continue
            if row.workflow not in programs.names():
                raise Misuse(
                    f"{path} has a run of {row.workflow!r}, which was not given.",
                    cure=f"Give it too; there are: {', '.join(programs.names())}.",
                )
            fit = rehearse(programs, row, records)
            if not fit.fits:
                raise NotDeterministic(row.workflow, len(records), fit.why, fit.diff, stored=str(path))
            count += 1
    if not count:
        raise Misuse(f"{path} has no runs.", cure="Record it again.")
    return count


def _programs(workflows: tuple[Workflow[Any, Any] | str, ...]) -> Programs:
    first = workflows[0]
    if isinstance(first, str):
        if len(workflows) > 1:
            raise Misuse("several applications.", cure="Give one file or module, or workflows.")
        return programs_of(first)
    return rehearsed(Application("test", ".", [one for one in workflows if isinstance(one, Workflow)]))
