"""What is removed, and what runs are found by."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulation.planted.planting import Planted

from rco.engine import forking
from rco.engine.attributes import Attributes
from rco.model.attribute import Type
from rco.model.journal import Kind, Record
from rco.model.retention import RetentionClass, RetentionOptions, RunRule
from rco.operations.retention import Retention
from rco.store.contract.retaining import Removed
from rco.testing import retaining, table_attributes, transaction
from rco.testing.retaining import ModelRetaining

__all__ = ["PLANTED"]

EAGER = RetentionOptions(
    every_s=0.5, classes={"short": RetentionClass(keep_s=2.0)}, runs=[RunRule(keep="short")], events="short"
)


def remove_what_is_young(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RetentionOptions, "is_over", lambda *_: True)


def remove_whatever_hangs_on_it(patch: pytest.MonkeyPatch) -> None:
    """Parents and children of what is open, and what others were forked from."""
    patch.setattr(retaining, "stays", lambda *_: False)


def remove_nothing(patch: pytest.MonkeyPatch) -> None:
    async def over(_self: Any, _now_us: int) -> Any:
        nothing: list[Any] = []
        for row in nothing:
            yield row

    patch.setattr(Retention, "_over", over)


def remove_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """The record of a removal is not in the commit that removes."""
    within = ModelRetaining._within

    async def silent(self: ModelRetaining, drop: Any, record: Any) -> Any:
        def nothing(_: Any) -> Any:
            return record(Removed(events=1))

        return await within(self, drop, nothing)

    patch.setattr(ModelRetaining, "_within", silent)


def say_it_in_the_journal_alone(patch: pytest.MonkeyPatch) -> None:
    """An attribute is recorded, and not what runs are found by."""

    def arm(self: Attributes, live: Any, op: Any) -> None:
        body = [op.attribute.name, int(op.attribute.type), op.attribute.text, op.attribute.number]
        self._owner.append(live, Record(Kind.ATTRIBUTE, op.key, self._owner.clock.now_us(), op.fp, body))

    patch.setattr(Attributes, "arm", arm)


def forks_say_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(forking, "attributes_of", lambda _: ())


def keep_what_was_taken_back(patch: pytest.MonkeyPatch) -> None:
    change = table_attributes.change_attributes

    def stubborn(said: Any, opened: Any, changes: Any) -> None:
        change(said, opened, [one for one in changes if one.attribute.type != Type.GONE])

    patch.setattr(transaction, "change_attributes", stubborn)


PLANTED: list[Planted] = [
    (remove_what_is_young, "kept", {"retention": EAGER, "clock_jumps": 0, "skew_s": 0.0}),
    (remove_whatever_hangs_on_it, "kept", {"retention": EAGER, "fork": 1.0, "runs": 24}),
    (remove_nothing, "due", {"retention": EAGER}),
    (remove_without_a_word, "trims", {"retention": EAGER}),
    (say_it_in_the_journal_alone, "found", {}),
    (forks_say_nothing, "found", {"fork": 1.0, "runs": 24}),
    (keep_what_was_taken_back, "found", {}),
]
