"""Whose turn it is in a queue."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.simulation.planted.planting import Planted

from rco.engine import loading, recovering
from rco.engine.queueing import Queueing
from rco.model.message import Message
from rco.model.queue import Queue
from rco.model.run import Mode
from rco.queues.line import Line
from rco.testing import table_queues, transaction
from rco.testing.leases import LeaseOptions
from rco.testing.store_reader import ModelReader

__all__ = ["PLANTED"]


def forget_the_permits(patch: pytest.MonkeyPatch) -> None:
    """Who takes a queue over begins with none that are held."""

    async def nothing(_self: Any, _queue: str) -> list[Any]:
        return []

    patch.setattr(ModelReader, "queue_running", nothing)


def give_turns_without_the_fence(patch: pytest.MonkeyPatch) -> None:
    """A turn counts also from who has lost the queue."""
    patch.setattr(transaction, "granting_shards", lambda _: set())


def limit_all_but_no_key(patch: pytest.MonkeyPatch) -> None:
    own = Line.next

    def careless(self: Line) -> Any:
        self.spec = msgspec.structs.replace(self.spec, per_key_concurrency=None)
        return own(self)

    patch.setattr(Line, "next", careless)


def begin_without_a_turn(patch: pytest.MonkeyPatch) -> None:
    """A run in a queue begins as soon as anything comes for it."""

    def read(self: Queueing, row: Any, messages: Any) -> Any:
        if row.mode is Mode.PAUSED:
            return "begun", None
        return "begin", Message(row.run_id, "begin", "begin", "begin", b"", 0)

    patch.setattr(Queueing, "read", read)


def stay_with_one_key(patch: pytest.MonkeyPatch) -> None:
    """The key whose turn it is keeps it until it has run dry."""
    own = Line.next

    def greedy(self: Line) -> Any:
        for key in self.keys.values():
            key.deficit = 1000
        return own(self)

    patch.setattr(Line, "next", greedy)


def forget_the_levels(patch: pytest.MonkeyPatch) -> None:
    key = Line.key

    def upside_down(self: Line, level: int, name: str, *, new: bool = False) -> Any:
        made = key(self, level, name, new=new)
        if made.ring in (self._new[level], self._old[level]):
            made.ring.remove(made)
            self._join(made, self._new[9 - level])
        return made

    patch.setattr(Line, "key", upside_down)


def trust_what_is_heard(patch: pytest.MonkeyPatch) -> None:
    """A run that this node has put into an ordered queue goes before what another node committed first."""
    own = Line.push

    def push(self: Line, item: Any, again: bool = False) -> None:
        spec, self.spec = self.spec, msgspec.structs.replace(self.spec, ordered=False)
        own(self, item, again)
        self.spec = spec

    patch.setattr(Line, "push", push)


CROWDED = {"queue": Queue(concurrency=1), "runs": 40, "start_within_s": 2.0}


IN_ORDER = {"queue": Queue(per_key_concurrency=1, ordered=True), "runs": 40, "start_within_s": 2.0}


# A node stands still while its commits wait for a lock, for longer than its lease; turns are committed by themselves.
HELD_UP = {
    "nodes": 3,
    "pauses": 3,
    "pause_s": (8.0, 16.0),
    "lanes": 3,
    "lock_wait": 0.5,
    "lock_wait_s": 6.0,
    "leases": LeaseOptions(ttl_s=2.0, beat_s=0.5, margin_s=0.25, poll_s=0.2),
    "versions": False,
    "pools": (),
    "pause": 0.0,
    "payload_over_bytes": 0,
    "erasure": False,
    "retention": None,
    **CROWDED,
}


NARROW = {"queue": Queue(concurrency=3, per_key_concurrency=1), "runs": 40, "start_within_s": 2.0}


# Versions are away for a while again and again, and the runs of one queue are of both.
STRANDED = {
    "nodes": 3,
    "queue": Queue(concurrency=2),
    "versions": True,
    "pools": (("v1",), ("v1",), ("v2",)),
    "crashes": 4,
    "stops": 2,
    "restart_s": (3.0, 20.0),
    "runs": 20,
}


def keep_the_word_of_a_turn_that_went_back(patch: pytest.MonkeyPatch) -> None:
    def back(self: Queueing, row: Any, turn: Message, then: Any) -> None:
        genuine(self, row, msgspec.structs.replace(turn, message_id="another"), then)

    genuine = Queueing.give_back
    patch.setattr(Queueing, "give_back", back)


def forget_whose_turn_went_back(patch: pytest.MonkeyPatch) -> None:
    for each in (loading, recovering):
        patch.setattr(each, "awaits_version", lambda _: False)


def keep_the_permit_of_a_turn_that_went_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(table_queues, "returning", lambda *_: set())


PLANTED: list[Planted] = [
    (forget_the_permits, "limits", {"nodes": 3, "crashes": 3, **CROWDED}),
    (give_turns_without_the_fence, "limits", {"from": 25, **HELD_UP}),
    (limit_all_but_no_key, "limits", {"nodes": 1, **NARROW}),
    (keep_the_word_of_a_turn_that_went_back, "turns", STRANDED),
    (forget_whose_turn_went_back, "live", STRANDED),
    (keep_the_permit_of_a_turn_that_went_back, "live", STRANDED),
    (begin_without_a_turn, "turns", {"nodes": 1, "pause": 0.8, **CROWDED}),
    (stay_with_one_key, "fair", {"nodes": 1, "crashes": 0, "lost_answer": 0.0, **CROWDED}),
    (forget_the_levels, "fair", {"nodes": 1, "crashes": 0, "lost_answer": 0.0, **CROWDED}),
    (trust_what_is_heard, "ordered", {"from": 8, "nodes": 3, **IN_ORDER}),
]
