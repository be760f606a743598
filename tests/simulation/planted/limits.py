"""What calls share among nodes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulation.planted.planting import Planted

from rco.egress import ledger
from rco.egress.ledger import Held, Ledger
from rco.egress.passage import Passage
from rco.testing.leases import LeaseOptions

__all__ = ["PLANTED"]


def count_only_our_own_permits(patch: pytest.MonkeyPatch) -> None:
    def hold(book: Ledger, who: str, **asked: Any) -> Any:
        return genuine(Ledger(holders={who: book.holders.setdefault(who, Held())}), who, **asked)

    genuine = ledger.hold
    patch.setattr(ledger, "hold", hold)


def free_the_permits_of_the_dead_at_once(patch: pytest.MonkeyPatch) -> None:
    genuine = ledger.hold
    patch.setattr(ledger, "hold", lambda *given, **asked: genuine(*given, **{**asked, "ttl_us": 0, "call_us": 0}))


HELD_BACK = {
    "nodes": 3,
    "limit_rate": 20.0,
    "limit_burst": 1,
    "runs": 80,
    "pauses": 15,
    "pause_s": (0.4, 3.0),
    "leases": LeaseOptions(ttl_s=30.0),
}
"""Processes that stand still for longer than their permits are good for, and not for so long that their shards go."""


def use_what_ran_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Passage, "good", lambda *_: True)


def a_bucket_for_each_node(patch: pytest.MonkeyPatch) -> None:
    def slots(book: Ledger, *given: Any) -> int:
        book.next_us = 0
        return genuine(book, *given)

    genuine = ledger.slots
    patch.setattr(ledger, "slots", slots)


def forget_what_was_given_of_a_budget(patch: pytest.MonkeyPatch) -> None:
    def give(book: Ledger, key: str, **asked: Any) -> Any:
        book.spent.clear()
        return genuine(book, key, **asked)

    genuine = ledger.give
    patch.setattr(ledger, "give", give)


PLANTED: list[Planted] = [
    (count_only_our_own_permits, "calls", {"nodes": 3, "limit_concurrency": 1, "limit_rate": None, "runs": 40}),
    (
        free_the_permits_of_the_dead_at_once,
        "calls",
        {"nodes": 3, "limit_concurrency": 1, "limit_rate": None, "runs": 40, "crashes": 4},
    ),
    (use_what_ran_out, "calls", HELD_BACK),
    (a_bucket_for_each_node, "calls", {"nodes": 3, "limit_rate": 5.0, "limit_burst": 2, "runs": 40}),
    (forget_what_was_given_of_a_budget, "calls", {"nodes": 3, "limit_budget": 1, "limit_rate": None, "runs": 24}),
]
