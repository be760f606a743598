"""The trail: every decision of the bridge to each configured sink, the store's chain being one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rco.audit.outlets import Ring
from rco.audit.sink import Sinking
from rco.model.decision import Decision

__all__ = ["Trail"]


class Trail:
    """Hands decisions on. Nothing of it waits or raises.

    ``store`` takes decisions that nobody waits for; ``None`` where the store is not among the sinks.
    """

    def __init__(self, sinks: Sequence[Sinking], store: Callable[[Decision], None] | None) -> None:
        self.sinks, self._store = sinks, store
        self.ring = next((sink for sink in sinks if isinstance(sink, Ring)), None)

    def note(self, decision: Decision) -> None:
        """A decision that nobody waits for: to every sink."""
        if self._store is not None:
            self._store(decision)
        for sink in self.sinks:
            sink.emit(decision)

    def tell(self, decision: Decision) -> None:
        """A decision that is in the store already, committed with what it is about: to every other sink."""
        for sink in self.sinks:
            sink.emit(decision)

    def reopen(self) -> None:
        """Go on in new files where the old ones were moved away."""
        for sink in self.sinks:
            sink.reopen()

    def stop(self, grace_s: float) -> None:
        """Write what waits, for ``grace_s`` at most for each sink. Blocking."""
        for sink in self.sinks:
            sink.stop(grace_s)
