"""What the collector takes for nothing to write."""

from __future__ import annotations

import pytest

from rco.store.collector import _has_rows
from rco.store.contract.changes import Changes

_CALLBACKS = {"then", "lost"}
_LISTS = [name for name in Changes.__slots__ if isinstance(getattr(Changes(), name), list) and name not in _CALLBACKS]


@pytest.mark.parametrize("name", _LISTS)
def test_every_kind_of_row_is_one(name: str) -> None:
    changes = Changes()
    assert not _has_rows(changes)
    getattr(changes, name).append(object())
    assert _has_rows(changes)


@pytest.mark.parametrize("name", sorted(_CALLBACKS))
def test_a_callback_alone_is_nothing_to_write(name: str) -> None:
    changes = Changes()
    getattr(changes, name).append(object())
    assert not _has_rows(changes)
