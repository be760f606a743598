"""What was revoked, in memory, and how new that knowledge is.

A node that has not heard from the store for ``SILENCE_S`` knows nothing any more: until it does, nothing is allowed.
The time is counted from the *beginning* of the last question that was answered. So a revocation that was committed at
some moment is known ``SILENCE_S`` later on every node: either it was read, or what was read is too old to be used.
"""

from __future__ import annotations

from collections.abc import Iterable

from rco.errors import StoreError
from rco.kit.clock import Clock
from rco.store.contract.revocations import Revocation, RevokedKind

__all__ = ["SILENCE_S", "Revoked"]

SILENCE_S = 1.0


class Revoked:
    """The revocations that this node knows. It only ever grows: a store that was put back makes nothing good again."""

    __slots__ = ("_asked_s", "_clock", "_ids", "epochs", "kids", "seq")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked_s: float | None = None
        self._ids: set[str] = set()
        self.kids: set[str] = set()
        self.epochs: dict[str, int] = {}
        self.seq = 0

    def add(self, entries: Iterable[Revocation]) -> None:
        """Take in ``entries``; a second time changes nothing."""
        for one in entries:
            match one.kind:
                case RevokedKind.ID:
                    self._ids.add(one.name)
                case RevokedKind.KID:
                    self.kids.add(one.name)
                case RevokedKind.EPOCH:
                    self.epochs[one.name] = max(one.epoch, self.epochs.get(one.name, 0))

    def heard(self, asked_s: float, seq: int) -> None:
        """The store answered a question put at ``asked_s`` (monotonic): up to ``seq`` everything is known."""
        self._asked_s, self.seq = asked_s, seq

    @property
    def silent_s(self) -> float:
        """Seconds since the beginning of the last question that was answered; infinite before the first."""
        return float("inf") if self._asked_s is None else self._clock.monotonic() - self._asked_s

    def require_fresh(self) -> None:
        """Raises ``StoreError`` when what is known here is too old to allow anything."""
        if self._asked_s is None or self._clock.monotonic() - self._asked_s >= SILENCE_S:
            raise StoreError(
                f"what was revoked is not known here: the store has been silent for {self.silent_s:.1f} s.",
                cure="It goes on by itself when the store answers.",
            )

    def epoch(self, namespace: str) -> int:
        return self.epochs.get(namespace, 0)

    def holds(self, id: str, kid: str) -> bool:
        """Whether a capability ``id`` under key ``kid`` was revoked by either name."""
        return id in self._ids or kid in self.kids

    def __len__(self) -> int:
        return len(self._ids) + len(self.kids) + len(self.epochs)
