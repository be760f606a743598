"""Dropping from the model's tables."""

from __future__ import annotations

from collections.abc import Callable

from rco.model.decision import Decision
from rco.model.event import Event
from rco.model.run import RunRow, fork_prefix
from rco.store.contract.retaining import BORN_US, Record, Removed, cut_mark
from rco.store.contract.revocations import Revocation, RevokedKind
from rco.testing.store_lanes import ModelLanes
from rco.testing.store_reader import ModelReader
from rco.testing.store_writer import ModelWriter
from rco.testing.tables import Gone, Tables

__all__ = ["ModelRetaining"]


class ModelRetaining:
    """Implements ``rco.store.contract.retaining.Retaining``."""

    def __init__(self, reader: ModelReader, writer: ModelWriter | ModelLanes) -> None:
        self._reader, self._writer = reader, writer

    async def closed_runs(self, before_us: int, after: bytes, limit: int) -> tuple[list[RunRow], bytes | None]:
        end = (before_us // 1000).to_bytes(6, "big")

        def read(tables: Tables) -> tuple[list[RunRow], bytes | None]:
            page = [one for one in sorted(tables.closed) if after < one < end][:limit]
            fit = [tables.closed[one] for one in page if not stays(tables, tables.closed[one])]
            return fit, page[-1] if len(page) == limit else None

        return await self._reader.ask(read)

    async def drop_runs(self, run_ids: list[bytes], record: Record) -> Removed:
        def drop(tables: Tables, now_s: float) -> Removed:
            going = [one for one in run_ids if one in tables.closed and not stays(tables, tables.closed[one])]
            held: dict[str, tuple[int, int]] = {}
            gone = set(going)
            for one in going:
                segments = tables.journal.pop(one, [])
                tables.removed[one] = Gone(tables.closed.pop(one), segments, now_s)
                tables.attributes.pop(one, None)
                for segment in segments:
                    count, last_n = held.get(segment.chain, (0, 0))
                    held[segment.chain] = (count + 1, max(last_n, segment.n))
            for place, sealed in tables.segments.items():
                if any(segment.run_id in gone for segment in sealed):
                    tables.segments[place] = [segment for segment in sealed if segment.run_id not in gone]
            tables.keys = {name: key for name, key in tables.keys.items() if key.run_id not in gone}
            if not going:
                return Removed()
            return Removed(
                runs=len(going),
                segments=sum(count for count, _ in held.values()),
                chains=tuple((chain, *counted) for chain, counted in sorted(held.items())),
                from_us=int.from_bytes(min(going)[:6], "big") * 1000,
                until_us=(int.from_bytes(max(going)[:6], "big") + 1) * 1000,
            )

        return await self._within(drop, record)

    async def drop_weeks(self, before_us: int, over: Callable[[RunRow], bool], record: Record) -> list[Removed]:
        """The journal is in one piece here."""
        del before_us, over, record
        return []

    async def count_events(self, before_us: int) -> tuple[int, int | None]:
        def read(tables: Tables) -> tuple[int, int | None]:
            found = _free(tables, before_us)
            return len(found), min((event.received_us for event in found), default=None)

        return await self._reader.ask(read)

    async def drop_events(self, before_us: int, limit: int, record: Record) -> Removed:
        def drop(tables: Tables, _: float) -> Removed:
            going = {id(event) for event in _free(tables, before_us)[:limit]}
            tables.events = [event for event in tables.events if id(event) not in going]
            return Removed(events=len(going))

        return await self._within(drop, record)

    async def count_letters(self, before_us: int) -> tuple[int, int | None]:
        def read(tables: Tables) -> tuple[int, int | None]:
            times = [one.replayed_us for one in tables.letters.values() if one.replayed_us is not None]
            times = [at for at in times if at < before_us]
            return len(times), min(times, default=None)

        return await self._reader.ask(read)

    async def drop_letters(self, before_us: int, limit: int, record: Record) -> Removed:
        def drop(tables: Tables, _: float) -> Removed:
            letters = sorted(tables.letters.items())
            going = [name for name, one in letters if one.replayed_us is not None and one.replayed_us < before_us][
                :limit
            ]
            for name in going:
                del tables.letters[name]
            return Removed(letters=len(going))

        return await self._within(drop, record)

    @property
    def whole_chains(self) -> frozenset[str]:
        return frozenset()

    async def may_cut(self, chain: str, first_n: int, last_n: int) -> bool:
        del chain
        return await self._reader.ask(lambda tables: _free_links(tables, self._reader.chain, first_n, last_n))

    async def cut(self, chain: str, first_n: int, last_n: int, record: Record) -> Removed:
        own = self._reader.chain

        def drop(tables: Tables, _: float) -> Removed:
            at = tables.cursors.get(cut_mark(chain), 0)
            if at != first_n - 1 or not _free_links(tables, own, first_n, last_n):
                return Removed()
            seals = tables.chains[own]
            left = [one for one in seals if not first_n <= one.n <= last_n]
            gone, seals[:] = len(seals) - len(left), left
            tables.cursors[cut_mark(chain)] = last_n
            return Removed(links=gone)

        return await self._within(drop, record)

    async def count_revocations(self, before_us: int) -> tuple[int, int | None]:
        def read(tables: Tables) -> tuple[int, int | None]:
            found = _moot(tables, before_us)
            return len(found), min((one.at_us for one in found), default=None)

        return await self._reader.ask(read)

    async def drop_revocations(self, before_us: int, limit: int, record: Record) -> Removed:
        def drop(tables: Tables, _: float) -> Removed:
            going = {one.seq for one in _moot(tables, before_us)[:limit]}
            tables.revocations = [one for one in tables.revocations if one.seq not in going]
            return Removed(revocations=len(going))

        return await self._within(drop, record)

    async def _within(self, drop: Callable[[Tables, float], Removed], record: Record) -> Removed:
        def work(tables: Tables, now_s: float) -> tuple[Removed, list[Decision]]:
            removed = drop(tables, now_s)
            return removed, [record(removed)] if removed != Removed() else []

        return await self._writer.drop(work)


def stays(tables: Tables, row: RunRow) -> bool:
    """Whether a closed run must stay, however old it is."""
    if tables.messages.get(row.run_id) or row.parent in tables.runs:
        return True
    if any(other.parent == row.run_id for other in tables.runs.values()):
        return True
    prefix = fork_prefix(row.run_id)
    return any(
        key.namespace == row.namespace and key.key.startswith(prefix) and tables.row(key.run_id) is not None
        for key in tables.keys.values()
    )


def _free_links(tables: Tables, chain: str, first_n: int, last_n: int) -> bool:
    seals = {one.n for one in tables.chains.get(chain, ())}
    held = [one for segments in tables.journal.values() for one in segments if first_n <= one.n <= last_n]
    return {first_n, last_n, last_n + 1} <= seals and not any(one.chain in ("", chain) for one in held)


def _moot(tables: Tables, before_us: int) -> list[Revocation]:
    """Revocations that have no effect any more."""
    oldest = min((*tables.runs, *tables.closed), default=b"\xff" * 6)
    born_us = int.from_bytes(oldest[:6], "big") * 1000 - BORN_US
    newest = max((one.seq for one in tables.revocations), default=0)
    epochs: dict[str, int] = {}
    for one in tables.revocations:
        epochs[one.name] = max(one.epoch, epochs.get(one.name, 0))
    return [
        one
        for one in tables.revocations
        if one.at_us < before_us
        and one.seq < newest
        and (
            (one.kind is RevokedKind.ID and one.at_us < born_us)
            or (one.kind is RevokedKind.EPOCH and one.epoch < epochs[one.name])
        )
    ]


def _free(tables: Tables, before_us: int) -> list[Event]:
    began: dict[str, int] = {}
    for row in tables.runs.values():
        began[row.namespace] = min(began.get(row.namespace, row.opened_us), row.opened_us)
    return [
        event for event in tables.events if event.received_us < min(before_us, began.get(event.namespace, before_us))
    ]
