"""The reading side: what a reader finds encrypted is decrypted on its way to who asked.

What was erased is not hidden: lists show it without its payload and with the reason; who asks for the payload itself
gets ``PayloadErased``. Evidence (``segments``, ``seals``) comes as it stands, because what is sealed are these bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from rco.encryption.cipher import Place, is_encrypted, key_id_of
from rco.encryption.concealing import SEALED, SEALED_BEGINS, event_owner
from rco.encryption.keys import Keys
from rco.errors import EvidenceBroken, PayloadErased, PayloadLocked
from rco.model.event import Event
from rco.model.journal import stored_records
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.payload import is_reference
from rco.model.run import RunRow
from rco.store.contract.reader import Reader, Segment
from rco.store.contract.schedules import ScheduleRow

__all__ = ["revealing", "stored"]

_read = msgspec.json.Decoder().decode
_json = msgspec.json.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_pack = msgspec.msgpack.Encoder().encode
_GONE = (PayloadErased, PayloadLocked)


def revealing(reader: Reader, keys: Keys) -> Reader:
    """``reader``, with what ``keys`` open decrypted. What holds no payload is passed through."""
    return cast("Reader", _Revealing(reader, keys))


def stored(reader: Reader) -> Reader:
    """The reader behind: what is stored, as it stands. For evidence, which is about these bytes."""
    return reader._reader if isinstance(reader, _Revealing) else reader


class _Revealing:
    """Every method here stands for the one of the same name in ``rco.store.contract.reader``."""

    def __init__(self, reader: Reader, keys: Keys) -> None:
        self._reader, self._keys = reader, keys

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def _open(self, namespace: str | None, place: Place, owner: bytes, number: int, data: bytes) -> bytes:
        """``data`` decrypted. ``namespace``: whose it must be, where the row says so."""
        key_id = key_id_of(data)
        await self._keys.know(key_id)
        cipher = self._keys.reading(key_id)
        if namespace is not None and cipher.namespace != namespace:
            raise PayloadLocked(
                f"a {place.value.decode()} of namespace {namespace!r} is encrypted with the key of another namespace.",
                cure="Somebody moved rows in the database: rco audit verify.",
            )
        return cipher.decrypt(place, owner, number, data)

    # -- runs ------------------------------------------------------------------------------------------------------

    async def run(self, run_id: bytes) -> RunRow | None:
        row = await self._reader.run(run_id)
        return None if row is None else await self._row(row)

    async def runs(self, where: Any) -> list[RunRow]:
        return [await self._row(row) for row in await self._reader.runs(where)]

    async def open_runs(self, *asked: Any, **named: Any) -> list[RunRow]:
        return [await self._row(row) for row in await self._reader.open_runs(*asked, **named)]

    async def _row(self, row: RunRow) -> RunRow:
        if row.detail is None or not row.detail.startswith(SEALED_BEGINS):
            return row
        sealed = base64.b64decode(_read(row.detail)[SEALED])
        try:
            detail = await self._open(row.namespace, Place.DETAIL, row.run_id, 0, sealed)
        except (*_GONE, EvidenceBroken) as gone:
            # One row must not take a list with it, nor a node that loads its runs.
            known = {key: value for key, value in _read(row.detail).items() if key != SEALED}
            detail = _json({"message": str(gone), **known, "code": gone.code})
        return msgspec.structs.replace(row, detail=detail)

    async def journal(self, run_id: bytes) -> list[Segment]:
        segments = await self._reader.journal(run_id)
        last = segments[-1] if segments else None
        for place, segment in enumerate(segments):
            if is_encrypted(segment.data):
                try:
                    data = await self._open(None, Place.JOURNAL, run_id, segment.first_seq, segment.data)
                except _GONE as gone:
                    if last is not None:
                        gone.records = last.first_seq + stored_records(last.data)
                    raise
                segments[place] = msgspec.structs.replace(segment, data=data)
        return segments

    # -- messages and events ---------------------------------------------------------------------------------------

    async def messages(self, run_id: bytes) -> list[Message]:
        """Of those that cannot be read, the ones that end the run by force alone; the others stay where they are."""
        found: list[Message] = []
        for message in await self._reader.messages(run_id):
            try:
                found.append(await self._message(message))
            except (*_GONE, EvidenceBroken) as problem:
                self._keys.tell(problem)
                if message.kind == "terminate":
                    found.append(msgspec.structs.replace(message, body=_pack("")))
        return found

    async def _message(self, message: Message) -> Message:
        if is_encrypted(message.body):
            owner = message.run_id + message.message_id.encode("utf-8", "surrogatepass")
            body = await self._open(None, Place.MESSAGE, owner, 0, message.body)
            return msgspec.structs.replace(message, body=body)
        if message.kind == "event":
            seen = _unpack(message.body)
            data = seen.get("data") if isinstance(seen, dict) else None
            if isinstance(data, bytes) and is_encrypted(data):
                opened = await self._open(None, Place.EVENT, event_owner(seen["id"]), 0, data)
                return msgspec.structs.replace(
                    message, body=_pack({**seen, "data": opened if is_reference(opened) else _plain(opened)})
                )
        return message

    async def event(self, namespace: str, event_id: str, source: str | None = None) -> Event | None:
        event = await self._reader.event(namespace, event_id, source)
        return None if event is None else await self._event(event)

    async def events(self, *asked: Any, **named: Any) -> list[tuple[Any, Event]]:
        return [(mark, await self._event_or_less(event)) for mark, event in await self._reader.events(*asked, **named)]

    async def letter(self, letter_id: bytes) -> DeadLetter | None:
        letter = await self._reader.letter(letter_id)
        return None if letter is None else msgspec.structs.replace(letter, event=await self._event(letter.event))

    async def letters(self, *asked: Any, **named: Any) -> list[DeadLetter]:
        return [
            msgspec.structs.replace(letter, event=await self._event_or_less(letter.event))
            for letter in await self._reader.letters(*asked, **named)
        ]

    async def _event(self, event: Event) -> Event:
        if not is_encrypted(event.data):
            return event
        data = await self._open(event.namespace, Place.EVENT, event_owner(event.id), 0, event.data)
        return msgspec.structs.replace(event, data=data)

    async def _event_or_less(self, event: Event) -> Event:
        try:
            return await self._event(event)
        except (*_GONE, EvidenceBroken):
            return msgspec.structs.replace(event, data=b"")

    # -- schedules -------------------------------------------------------------------------------------------------

    async def schedule(self, schedule_id: bytes) -> ScheduleRow | None:
        """``None`` also for one that cannot be read any more: for its owner it is as good as gone."""
        row = await self._reader.schedule(schedule_id)
        try:
            return None if row is None else await self._schedule(row)
        except _GONE:
            return None

    async def schedule_named(self, namespace: str, name: str) -> ScheduleRow | None:
        row = await self._reader.schedule_named(namespace, name)
        return None if row is None else await self._schedule(row)

    async def schedules(self, *asked: Any, **named: Any) -> list[ScheduleRow]:
        found = await self._reader.schedules(*asked, **named)
        return await self._readable(found, lambda last: self._reader.schedules(*_after(asked, 1, last.name), **named))

    async def schedules_due(self, *asked: Any, **named: Any) -> list[ScheduleRow]:
        found = await self._reader.schedules_due(*asked, **named)
        return await self._readable(
            found,
            lambda last: self._reader.schedules_due(*_after(asked, 0, (last.due_us or 0, last.schedule_id)), **named),
        )

    async def schedules_under_others(self, *asked: Any, **named: Any) -> list[ScheduleRow]:
        found = await self._reader.schedules_under_others(*asked, **named)
        return await self._readable(
            found, lambda last: self._reader.schedules_under_others(*_after(asked, 1, last.schedule_id), **named)
        )

    async def _readable(
        self, rows: list[ScheduleRow], more: Callable[[ScheduleRow], Awaitable[list[ScheduleRow]]]
    ) -> list[ScheduleRow]:
        """Without those that cannot be read any more: what they would start is not known to anybody. An empty page is
        the end of the list for who reads it, so one of which nothing is left gives way to the next."""
        found: list[ScheduleRow] = []
        while rows and not found:
            for row in rows:
                try:
                    found.append(await self._schedule(row))
                except _GONE:
                    continue
            if not found:
                rows = await more(rows[-1])
        return found

    async def _schedule(self, row: ScheduleRow) -> ScheduleRow:
        if not is_encrypted(row.body):
            return row
        body = await self._open(row.namespace, Place.SCHEDULE, row.schedule_id, row.revision, row.body)
        return msgspec.structs.replace(row, body=body)


def _after(asked: tuple[Any, ...], place: int, after: Any) -> tuple[Any, ...]:
    return (*asked[:place], after, *asked[place + 1 :])


def _plain(data: bytes) -> Any:
    try:
        return _read(data) if data else None
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")
