"""What a transaction writes, encrypted just before it is handed over: each segment of a run's journal once.

Names, ids, times and counts stay as they are, because the store matches, lists and seals by them. Of what a run closed
with or waits for, the code and the cause stay readable beside the ciphertext, for filters and lists.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec

from rco.encryption.cipher import NOBODYS, Cipher, Place, is_encrypted
from rco.encryption.keys import Keys
from rco.errors import PayloadErased, PayloadLocked
from rco.model.event import Event
from rco.model.journal import count_records
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.store.contract.changes import Admission, Changes
from rco.store.contract.schedules import ScheduleWrite

__all__ = ["SEALED", "SEALED_BEGINS", "Concealing", "event_owner"]

SEALED = "encrypted"
"""The member of a run's detail that holds its ciphertext, as base64."""
SEALED_BEGINS = b'{"' + SEALED.encode() + b'":'
_UNREADABLE = frozenset((PayloadErased.code, PayloadLocked.code))
_WORD = re.compile(r"[A-Za-z0-9_. -]{1,64}")
_NOTHING = msgspec.msgpack.encode(None)
_json = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder().decode


def event_owner(event_id: str) -> bytes:
    """Whose an event's data are: its id, whatever source it has."""
    return event_id.encode("utf-8", "surrogatepass")


class Concealing:
    """Encrypts all payloads of a ``Changes`` in place. A second call on the same changes nothing."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def __call__(self, changes: Changes) -> None:
        if self._keys.none:
            return
        writing = self._keys.writing
        for draft in changes.drafts:
            cipher = writing(draft.namespace)
            if cipher is not None and draft.parts:
                data = b"".join(draft.parts)
                if not is_encrypted(data):
                    draft.parts = [_segment(cipher, draft.run_id, draft.first_seq, data, draft.records)]
        if changes.opened_segments:
            of = {row.run_id: row.namespace for row in changes.opened}
            changes.opened_segments = [
                (run_id, self._begun(of.get(run_id, ""), run_id, data)) for run_id, data in changes.opened_segments
            ]
        changes.opened = [self._detailed(row) for row in changes.opened]
        changes.ended = [self._detailed(ended) for ended in changes.ended]
        changes.moved = [self._detailed(moved) for moved in changes.moved]
        changes.messages = [self._message(message) for message in changes.messages]
        changes.events = [self._event(event) for event in changes.events]
        changes.letters = [self._letter(letter) for letter in changes.letters]
        for admission in changes.admissions:
            self._admission(admission)

    def _admission(self, admission: Admission) -> None:
        if admission.event is not None:
            admission.event = self._event(admission.event)
        admission.opened = [
            (self._detailed(row), self._begun(row.namespace, row.run_id, data)) for row, data in admission.opened
        ]
        admission.keyed = [
            (key, self._detailed(row), self._begun(row.namespace, row.run_id, data), decision)
            for key, row, data, decision in admission.keyed
        ]
        admission.messages = [self._message(message) for message in admission.messages]
        admission.letters = [self._letter(letter) for letter in admission.letters]
        admission.schedules = [self._schedule(write) for write in admission.schedules]

    def _begun(self, namespace: str, run_id: bytes, data: bytes) -> bytes:
        cipher = self._keys.writing(namespace)
        if cipher is None or is_encrypted(data):
            return data
        return _segment(cipher, run_id, 0, data, count_records(data))

    def _detailed(self, one: Any) -> Any:
        """An ``Ended``, a ``Moved`` or a ``RunRow``."""
        cipher = None if one.detail is None else self._keys.writing(one.namespace)
        if cipher is None:
            return one
        return msgspec.structs.replace(one, detail=_detail(cipher, one.run_id, one.detail))

    def _message(self, message: Message) -> Message:
        cipher = self._keys.writing(message.namespace)
        if cipher is None or message.body == _NOTHING or is_encrypted(message.body):
            return message
        owner = message.run_id + message.message_id.encode("utf-8", "surrogatepass")
        return msgspec.structs.replace(message, body=cipher.encrypt(Place.MESSAGE, owner, 0, message.body))

    def _event(self, event: Event) -> Event:
        cipher = self._keys.writing(event.namespace)
        if cipher is None or is_encrypted(event.data):
            return event
        return msgspec.structs.replace(event, data=cipher.encrypt(Place.EVENT, event_owner(event.id), 0, event.data))

    def _letter(self, letter: DeadLetter) -> DeadLetter:
        event = self._event(letter.event)
        return letter if event is letter.event else msgspec.structs.replace(letter, event=event)

    def _schedule(self, write: ScheduleWrite) -> ScheduleWrite:
        row = write.row
        cipher = self._keys.writing(row.namespace)
        if cipher is None or write.gone or is_encrypted(row.body):
            return write
        body = cipher.encrypt(Place.SCHEDULE, row.schedule_id, row.revision, row.body)
        return msgspec.structs.replace(write, row=msgspec.structs.replace(row, body=body))


def _segment(cipher: Cipher, run_id: bytes, first_seq: int, data: bytes, records: int) -> bytes:
    return cipher.encrypt(Place.JOURNAL, run_id, first_seq, data, records)


def _detail(cipher: Cipher, run_id: bytes, detail: bytes) -> bytes:
    """JSON still, as stores look into it."""
    if detail.startswith(SEALED_BEGINS):
        return detail
    told = _read(detail)
    if not isinstance(told, dict):
        told = {}
    if cipher.key_id == NOBODYS and told.get("cause") in _UNREADABLE:
        # Why nobody can read it must be read by everybody, and holds nothing of a payload.
        return detail
    sealed: dict[str, Any] = {SEALED: base64.b64encode(cipher.encrypt(Place.DETAIL, run_id, 0, detail)).decode()}
    error = told.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and _WORD.fullmatch(code):
        sealed["error"] = {"code": code}
    cause = told.get("cause")
    if isinstance(cause, str) and _WORD.fullmatch(cause):
        sealed["cause"] = cause
    return _json(sealed)
