"""Dropping from the model's tables."""

from __future__ import annotations

from collections.abc import Callable

from rco.model.decision import Decision
from rco.model.event import Event
from rco.model.run import RunRow, fork_prefix
from rco.store.contract.retaining import Record, Removed
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

    async def _within(self, drop: Callable[[Tables, float], Removed], record: Record) -> Removed:
        def work(tables: Tables, now_s: float) -> tuple[Removed, list[Decision]]:
            removed = drop(tables, now_s)
            return removed, [record(removed)] if removed.runs or removed.events or removed.letters else []

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


def _free(tables: Tables, before_us: int) -> list[Event]:
    began: dict[str, int] = {}
    for row in tables.runs.values():
        began[row.namespace] = min(began.get(row.namespace, row.opened_us), row.opened_us)
    return [
        event for event in tables.events if event.received_us < min(before_us, began.get(event.namespace, before_us))
    ]
