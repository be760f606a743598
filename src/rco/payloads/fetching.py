"""The reading side: what a reader finds by reference is fetched on its way to who asked for the payload.

Lists do not fetch: they show what is large as a reference. Evidence (``segments``, ``seals``) comes as it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec

from rco.errors import EvidenceBroken, ObjectsAway, PayloadErased, PayloadLocked
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.payload import (
    BY_REFERENCE,
    Reference,
    as_value,
    holds_reference,
    is_reference,
    loaded,
    plain,
    references,
)
from rco.model.run import RunRow
from rco.payloads.keeping import PayloadStore
from rco.payloads.segments import packed_value, references_of, with_payloads
from rco.store.contract.reader import Reader, Segment

__all__ = ["fetching", "unfetched"]

_BEGINS = b'{"' + BY_REFERENCE.encode() + b'":'
_GONE = (PayloadErased, PayloadLocked, EvidenceBroken)
_read = msgspec.json.Decoder().decode
_json = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def fetching(reader: Reader, payloads: PayloadStore | None, tell: Callable[[BaseException], None]) -> Reader:
    """``reader``, with what is referred to fetched from ``payloads``. Without one, what is there by reference raises
    ``ObjectsAway``. ``tell`` is told of what cannot be read and is left where it is."""
    return cast("Reader", _Fetching(reader, payloads, tell))


def unfetched(reader: Reader) -> Reader:
    """The reader behind: for who has no use for payloads."""
    return reader._reader if isinstance(reader, _Fetching) else reader


class _Fetching:
    """Every method here stands for the one of the same name in ``rco.store.contract.reader``."""

    def __init__(self, reader: Reader, payloads: PayloadStore | None, tell: Callable[[BaseException], None]) -> None:
        self._reader, self._payloads, self._tell = reader, payloads, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def _fetch(self, reference: Reference) -> bytes:
        if self._payloads is None:
            raise ObjectsAway(
                "a payload is in the object store, and none is configured here.", cure="Configure objects as before."
            )
        return await self._payloads.fetch(reference)

    async def _packed(self, found: Iterable[Reference]) -> dict[bytes, bytes]:
        """The packed values of ``found`` by their objects' names."""
        distinct = {reference.name: reference for reference in found}
        values = await asyncio.gather(*(self._fetch(one) for one in distinct.values()), return_exceptions=True)
        packed: dict[bytes, bytes] = {}
        for reference, value in zip(distinct.values(), values, strict=True):
            if isinstance(value, BaseException):
                raise value
            packed[reference.name] = packed_value(reference, value)
        return packed

    async def _value(self, reference: Reference) -> Any:
        return plain((await self._packed((reference,)))[reference.name])

    # -- runs ------------------------------------------------------------------------------------------------------

    async def run(self, run_id: bytes) -> RunRow | None:
        row = await self._reader.run(run_id)
        if row is None or row.detail is None or not row.detail.startswith(_BEGINS):
            return row
        told = _read(row.detail)
        try:
            value = await self._value(Reference.decode(bytes.fromhex(told[BY_REFERENCE])))
            detail = {told["of"]: value}
        except _GONE as gone:
            # What is known of it without its payload must be shown all the same.
            detail = {"message": str(gone), "code": gone.code}
        return msgspec.structs.replace(row, detail=_json(detail))

    async def journal(self, run_id: bytes) -> list[Segment]:
        segments = await self._reader.journal(run_id)
        for place, segment in enumerate(segments):
            if holds_reference(segment.data):
                segments[place] = msgspec.structs.replace(segment, data=await self._segment(segment.data))
        return segments

    async def _segment(self, data: bytes) -> bytes:
        found = references_of(data)
        return with_payloads(data, await self._packed(found)) if found else data

    # -- messages and events ---------------------------------------------------------------------------------------

    async def messages(self, run_id: bytes) -> list[Message]:
        """Without those whose payload is gone for good, which stay where they are."""
        found: list[Message] = []
        for message in await self._reader.messages(run_id):
            try:
                found.append(await self._message(message) if holds_reference(message.body) else message)
            except _GONE as problem:
                self._tell(problem)
        return found

    async def _message(self, message: Message) -> Message:
        body = message.body
        if message.kind == "event":
            seen = _unpack(body)
            data = seen.get("data") if isinstance(seen, dict) else None
            if isinstance(data, bytes) and is_reference(data):
                body = _pack({**seen, "data": as_value(Reference.decode(data))})
        found = references(body)
        if not found:
            return message
        return msgspec.structs.replace(message, body=loaded(body, await self._packed(found)))

    async def event(self, namespace: str, event_id: str, source: str | None = None) -> Event | None:
        event = await self._reader.event(namespace, event_id, source)
        return None if event is None else await self._event(event)

    async def letter(self, letter_id: bytes) -> DeadLetter | None:
        letter = await self._reader.letter(letter_id)
        return None if letter is None else msgspec.structs.replace(letter, event=await self._event(letter.event))

    async def _event(self, event: Event) -> Event:
        if not is_reference(event.data):
            return event
        return msgspec.structs.replace(event, data=await self._fetch(Reference.decode(event.data)))
