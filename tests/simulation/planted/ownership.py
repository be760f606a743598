"""Whose a run is: leases, epochs, pools, and what was written under them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.simulation.planted.planting import Planted

from rco.engine.opening import Openings
from rco.engine.owner import Owner
from rco.engine.program import Programs
from rco.store.contract.changes import Changes
from rco.store.pools import Pools
from rco.testing import transaction
from rco.testing.database import ModelDatabase
from rco.testing.store_writer import ModelWriter
from rco.testing.tables import Batch
from rco.testing.wire import Wire

__all__ = ["PLANTED"]


def no_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transaction, "fence", lambda *_: None)


def fence_without_lock(patch: pytest.MonkeyPatch) -> None:
    """The epoch is compared before the transaction and not within it."""
    fence, ask = transaction.fence, Wire.ask
    patch.setattr(transaction, "fence", lambda *_: None)

    def early(self: Wire, request: Any, answer: Any) -> None:
        batch = getattr(request, "args", (None,))[0]
        if isinstance(batch, Batch):
            try:
                fence(self._network.database.tables, batch)
            except Exception as problem:  # noqa: BLE001 - as the keeper does
                self._network.loop.post(self.actor, answer, None, problem)
                return
        ask(self, request, answer)

    patch.setattr(Wire, "ask", early)


def act_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Owner, "may_act", lambda *_: True)


def ignore_start_keys(patch: pytest.MonkeyPatch) -> None:
    refused = transaction._refused

    def open_handed(admission: Any, claims: Any, held: Any, is_open: Any) -> Any:
        bare = msgspec.structs.replace(admission, start_keys=[])
        return refused(bare, claims, held, is_open)

    patch.setattr(transaction, "_refused", open_handed)


def hide_the_rewind(patch: pytest.MonkeyPatch) -> None:
    note = ModelWriter.note

    def silent(self: ModelWriter, decision: Any) -> None:
        if decision.reason != "history rewound":
            note(self, decision)

    patch.setattr(ModelWriter, "note", silent)


def rewrite_epochs(patch: pytest.MonkeyPatch) -> None:
    """A take-over that does not raise the epoch."""
    beat = ModelDatabase.beat

    def same(self: ModelDatabase, node: str, chain: str, ttl_s: float, *more: Any) -> Any:
        before = list(self.tables.leases)
        told = beat(self, node, chain, ttl_s, *more)
        self.tables.leases = [(now[0], max(1, was[1])) for was, now in zip(before, self.tables.leases, strict=True)]
        return msgspec.structs.replace(told, owned={shard: self.tables.leases[shard][1] for shard in told.owned})

    patch.setattr(ModelDatabase, "beat", same)


def write_under_any_lease(patch: pytest.MonkeyPatch) -> None:
    """Nobody says in which pool a run is that is written to."""

    class Forgetful(dict[bytes, int]):
        def __setitem__(self, run_id: bytes, shard: int) -> None:
            del run_id, shard

    genuine = Changes.__init__

    def empty(self: Changes) -> None:
        genuine(self)
        self.homes = Forgetful()

    patch.setattr(Changes, "__init__", empty)


def tell_nobody_whose_it_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transaction.Transaction, "_hand_over", lambda _: None)


def drive_what_is_in_the_keeping(patch: pytest.MonkeyPatch) -> None:
    """A node drives what it owns, by the code that it has."""
    patch.setattr(Programs, "has", lambda *_: True)
    find = Programs.find
    patch.setattr(Programs, "find", lambda self, name, version="": find(self, name, version) or find(self, name))
    among = Pools.among
    patch.setattr(Pools, "among", lambda self, shards, _: among(self, shards, None))


APART = {"nodes": 3, "versions": True, "pools": (("v1",), ("v1", "v2"), ("v2",)), "move": 1.0}


def begin_whatever_was_found(patch: pytest.MonkeyPatch) -> None:
    """An answer that comes late does not ask whether somebody was faster."""
    begin = Openings.begin

    def blind(self: Openings, opening: Any) -> None:
        opening.coming.left = False
        begin(self, opening)

    patch.setattr(Openings, "begin", blind)


PLANTED: list[Planted] = [
    (no_fence, "epochs", {"nodes": 3, "pauses": 3, "pause_s": (8.0, 16.0)}),
    (fence_without_lock, "epochs", {"nodes": 3, "pauses": 3, "lock_wait": 0.5, "lock_wait_s": 6.0}),
    (rewrite_epochs, "epochs", {"nodes": 3, "crashes": 3}),
    (act_for_ever, "owners", {"nodes": 3, "pauses": 3, "pause_s": (8.0, 16.0)}),
    (ignore_start_keys, "starts", {"crashes": 4, "nodes": 1}),
    (hide_the_rewind, "rewound", {"nodes": 2, "fail_overs": 1}),
    (write_under_any_lease, "places", APART),
    (tell_nobody_whose_it_is, "live", APART),
    (drive_what_is_in_the_keeping, "places", {**APART, "pools": (("v1",), ("v1",), ("v2",)), "crashes": 4}),
    (
        begin_whatever_was_found,
        "writes",
        {"from": 50, "nodes": 3, "lanes": 3, "schedules": 3, "lost_answer": 0.2, "patience_s": 2.0, "retention": None},
    ),
]
