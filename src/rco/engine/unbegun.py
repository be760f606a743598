"""An account of openings that wait in a queue: when its turn comes, such a run begins from what was written of it
instead of being read back.

It is no more than a memory of what the store has: who is not in it is read. It holds those that came first, whose turns
are near, and those that came last, which may be the first of their keys; what is between is let go of. What becomes of
a run otherwise (it is held, moved, ended, or its shard goes) is told by ``Coming.left`` and by the tenure, or by
``forget``.
"""

from __future__ import annotations

import msgspec

from rco.engine.opening import Opening
from rco.engine.owner import Coming, Owner
from rco.model.run import RunRow

__all__ = ["Unbegun", "Waiting"]

FIRST_MAX, LAST_MAX = 8_192, 1_024
SEGMENT_BYTES_MAX = 4_096
"""An opening with more to remember is read back: so all of it is 46 MiB at the most, and 11 with
what most runs are given."""


class Waiting(msgspec.Struct, frozen=True):
    """Of an opening what is needed to begin from it: more than a third of what it holds is not."""

    row: RunRow
    segment: bytes
    tenure: int
    coming: Coming


class Unbegun:
    """Belongs to one loop."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._first: dict[bytes, Waiting] = {}
        self._last: dict[bytes, Waiting] = {}
        self._missed = 0
        self._heard: set[bytes] = set()
        """Those in it that were sent something since."""

    def __len__(self) -> int:
        return len(self._first) + len(self._last)

    def add(self, opening: Opening) -> None:
        """A run of ours waits, and that is committed."""
        if len(opening.segment) > SEGMENT_BYTES_MAX or opening.payloads or not self._ours(opening):
            return
        last = self._last
        last[opening.row.run_id] = Waiting(opening.row, opening.segment, opening.tenure, opening.coming)
        if len(last) > LAST_MAX:
            run_id = next(iter(last))
            oldest = last.pop(run_id)
            if len(self._first) < FIRST_MAX:
                self._first[run_id] = oldest
            else:
                self._tidy()

    def _tidy(self) -> None:
        """Make room, now and then, where runs will not begin from here any more."""
        self._missed += 1
        if self._missed % FIRST_MAX == 0:
            self._first = {name: one for name, one in self._first.items() if not one.coming.left and self._ours(one)}
            self._heard &= self._first.keys() | self._last.keys()

    def take(self, run_id: bytes) -> Waiting | None:
        """The opening of a run of which nothing was written since, that is ours and has been all the time. It is
        remembered no more, whatever comes of it."""
        opening = self._first.pop(run_id, None) or self._last.pop(run_id, None)
        self._heard.discard(run_id)
        if opening is None or opening.coming.left or run_id in self._owner.live:
            return None
        return opening if self._ours(opening) and self._owner.sure else None

    def hear(self, run_id: bytes) -> None:
        """Something was sent to a run. Where it is one of these, its inbox is not empty any more."""
        if run_id in self._first or run_id in self._last:
            self._heard.add(run_id)

    def heard(self, run_id: bytes) -> bool:
        """Whether anything was sent to one of these since it came to wait."""
        return run_id in self._heard

    def forget(self, run_id: bytes) -> None:
        """Something is written of it while it waits."""
        self._first.pop(run_id, None)
        self._last.pop(run_id, None)
        self._heard.discard(run_id)

    def forget_namespace(self, namespace: str) -> None:
        """Nothing that was given to runs of it may be remembered any more."""
        for held in (self._first, self._last):
            for run_id in [run_id for run_id, one in held.items() if one.row.namespace == namespace]:
                del held[run_id]
                self._heard.discard(run_id)

    def clear(self) -> None:
        """Nothing is to begin from here any more."""
        self._first.clear()
        self._last.clear()
        self._heard.clear()

    def _ours(self, opening: Opening | Waiting) -> bool:
        owner = self._owner
        shard = owner.home(opening.row)
        return owner.ownership.owns(shard) and owner.tenure(shard) == opening.tenure
