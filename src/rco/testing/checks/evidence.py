"""The chains verify, whole, with the verifier that is given to strangers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from rco.audit.export import export
from rco.audit.verify import verify
from rco.store.contract.reader import Segment
from rco.store.contract.writer import Seal
from rco.testing.checks.history import History
from rco.testing.tables import Tables

__all__ = ["chains", "rewound"]


class _Chain:
    """One chain of the final state, as an export reads it."""

    def __init__(self, tables: Tables, chain: str) -> None:
        self._tables, self._chain = tables, chain

    async def chains(self) -> list[str]:
        return [""]

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:  # noqa: ARG002 - this one
        return [seal for seal in self._tables.chains[self._chain] if seal.n >= first_n][:limit]

    async def head(self, chain: str = "") -> Seal | None:  # noqa: ARG002 - this one
        return self._tables.chains[self._chain][-1]

    async def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:  # noqa: ARG002 - this one
        return [one for n in range(first_n, last_n + 1) for one in self._tables.segments[self._chain, n]]

    async def journal(self, run_id: bytes) -> list[Segment]:
        return self._tables.journal.get(run_id, [])


def _lines(lines: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Nothing here waits, so nothing needs a loop."""
    while True:
        step = anext(lines).__await__()
        try:
            next(step)
        except StopIteration as stop:
            yield stop.value
        except StopAsyncIteration:
            return


def chains(history: History) -> Iterator[str]:
    """Every chain verifies from its first link, every journal segment there is stands in one, and what a chain lacks
    was removed."""
    removed = sum(len(gone.segments) for gone in history.tables.removed.values())
    sealed = absent = 0
    for chain in history.tables.chains:
        verdict = verify(_lines(export(_Chain(history.tables, chain), journal=True)), complete=not removed)
        sealed += verdict.segments
        absent += verdict.absent
        for problem in verdict.problems:
            yield f"chain {chain}: {problem}"
    kept = sum(len(segments) for segments in history.tables.journal.values())
    if sealed != kept:
        yield f"the chains hold {sealed} segments, the journals {kept}"
    if absent != removed:
        yield f"the chains lack {absent} segments, {removed} were removed"


def rewound(history: History) -> Iterator[str]:
    """A database that lost commits which a living node knew of is noticed, in the evidence."""
    if not history.rewinds:
        return
    noticed = any(decision.get("reason") == "history rewound" for decision in history.decisions())
    if not noticed and history.noticeable:
        yield "the database lost commits and nobody noticed"
