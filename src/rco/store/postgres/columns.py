"""The lists of a flush, column by column, in the order of ``rco_flush`` behind its journal.

Most of them are empty in most flushes, and a flush of one step is what most of its time is made of: a group without
rows is found so by one look, and is a row of NULLs that is there already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.run import Mode
from rco.store import rows
from rco.store.contract.changes import Changes
from rco.store.judge import Added
from rco.store.postgres.text import plain_all

__all__ = ["of"]

Columns = Iterable[Any]
_NO_PAIRS = (None,) * 2
_NO_CLAIMS = (None,) * 3
_NO_MOVES = (None,) * 4
_NO_KEYS = (None,) * 5
_NO_WAITERS = (None,) * 6
_NO_MESSAGES = _NO_LETTERS = (None,) * 7
_NO_OPENED = (None,) * 10
_NO_EVENTS = (None,) * 11
# Events look for runs that are not among them: a comparison with NULL would find none.
_NO_ENDED: Columns = ([],) + (None,) * 3


def of(changes: Changes, more: Added, handed: list[Message]) -> list[Any]:
    """All of them. ``more`` is what the admissions add, ``handed`` the messages to nodes that runs are handed to."""
    gone = changes.waiters_gone
    return [
        *(_claims(more) if more.claims else _NO_CLAIMS),
        *(_keys(changes, more) if changes.start_keys or more.keys else _NO_KEYS),
        *(_opened(changes, more) if changes.opened or more.opened else _NO_OPENED),
        *(_moved(changes) if changes.moved else _NO_MOVES),
        *(_pairs(gone) if gone else _NO_PAIRS),
        *(_events(changes, more) if changes.events or more.events else _NO_EVENTS),
        *(_waiters(changes) if changes.waiters else _NO_WAITERS),
        *(_messages(changes, more, handed) if changes.messages or more.messages or handed else _NO_MESSAGES),
        *(_pairs(changes.taken) if changes.taken else _NO_PAIRS),
        *(_ended(changes) if changes.ended else _NO_ENDED),
        *(_letters([*changes.letters, *more.letters]) if changes.letters or more.letters else _NO_LETTERS),
        *(_by_column(changes.letters_replayed, ()) if changes.letters_replayed else _NO_PAIRS),
    ]


def _by_column(table: Sequence[tuple[Any, ...]], texts: tuple[int, ...]) -> list[list[Any]]:
    """``table``, which has rows, with what is text in it made plain."""
    columns = [list(column) for column in zip(*table, strict=True)]
    for at in texts:
        columns[at] = plain_all(columns[at])
    return columns


def _claims(more: Added) -> Columns:
    # Two that had expired when they came may have the same digest; the last stands.
    claims = list({claim.digest: claim for claim in more.claims}.values())
    return (
        [claim.digest for claim in claims],
        plain_all([claim.corr_id for claim in claims]),
        [claim.expires_us for claim in claims],
    )


def _keys(changes: Changes, more: Added) -> Columns:
    # A key of a child is free, or it is the same child's from before: either way the first stands.
    keys = changes.start_keys + more.keys
    return (
        plain_all([key.namespace for key in keys]),
        plain_all([key.key for key in keys]),
        [key.request for key in keys],
        [key.run_id for key in keys],
        [False] * len(changes.start_keys) + [True] * len(more.keys),
    )


def _opened(changes: Changes, more: Added) -> Columns:
    return _by_column([rows.run_values(row) for row in (*changes.opened, *more.opened)], (1, 2, 3, 5, 7))


def _moved(changes: Changes) -> Columns:
    # Where a run ended up is what counts; it may have moved several times since the last commit.
    moved = list({moved.run_id: moved for moved in changes.moved}.values())
    return (
        [one.run_id for one in moved],
        [int(one.mode) for one in moved],
        [one.detail for one in moved],
        [one.due_us if one.mode is Mode.PARKED else None for one in moved],
    )


def _pairs(pairs: list[tuple[bytes, str]]) -> Columns:
    return [run_id for run_id, _ in pairs], plain_all([name for _, name in pairs])


def _events(changes: Changes, more: Added) -> Columns:
    return _by_column([rows.event_values(event) for event in (*changes.events, *more.events)], (0, 1, 2, 3, 4, 7, 8, 9))


def _waiters(changes: Changes) -> Columns:
    # Given up in the batch that began it: it must not stay behind.
    gone = set(changes.waiters_gone)
    gone_runs = {ended.run_id for ended in changes.ended}
    waiters = [
        waiter
        for waiter in changes.waiters
        if waiter.run_id not in gone_runs and (waiter.run_id, waiter.key) not in gone
    ]
    if not waiters:
        return _NO_WAITERS
    return (
        [waiter.run_id for waiter in waiters],
        plain_all([waiter.key for waiter in waiters]),
        plain_all([waiter.namespace for waiter in waiters]),
        plain_all([waiter.type for waiter in waiters]),
        plain_all([waiter.subject for waiter in waiters]),
        [waiter.since_us for waiter in waiters],
    )


def _messages(changes: Changes, more: Added, handed: list[Message]) -> Columns:
    messages: list[Message] = changes.messages + handed if handed else changes.messages
    if messages and changes.ended:
        gone = {ended.run_id for ended in changes.ended}
        messages = [message for message in messages if message.run_id not in gone]
    must = [False] * len(messages) + [True] * len(more.messages)
    messages = messages + more.messages
    if not messages:
        return _NO_MESSAGES
    return (
        [message.run_id for message in messages],
        plain_all([message.message_id for message in messages]),
        [message.kind for message in messages],
        plain_all([message.name for message in messages]),
        [message.at_us for message in messages],
        [message.body for message in messages],
        must,
    )


def _ended(changes: Changes) -> Columns:
    ended = changes.ended
    return (
        [one.run_id for one in ended],
        [one.closed_us for one in ended],
        [one.outcome.value for one in ended],
        [one.detail for one in ended],
    )


def _letters(letters: list[DeadLetter]) -> Columns:
    return _by_column([rows.letter_values(letter) for letter in letters], (1, 2, 3))
