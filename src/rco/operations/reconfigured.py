"""A configuration that was taken over, made known: ``config.updated.v1``, with what changed and nothing secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from rco.model.decision import Decision, Verb
from rco.operations.announcing import Announcing
from rco.operations.desk import Desk
from rco.relay.topics import CONFIG, UPDATED

__all__ = ["Altered", "Reconfigured"]

DIFF_BYTES_MAX = 16 << 10


class Altered(msgspec.Struct, frozen=True):
    """One setting that differs, as ``rco config explain`` would show it: masked. ``None`` is absence."""

    key: str
    before: Any
    after: Any


class Reconfigured:
    """Each reload that took effect becomes one event, in their order, as soon as the store takes it."""

    def __init__(self, desk: Callable[[], Desk]) -> None:
        self._desk, self._announcing = desk, Announcing(desk, CONFIG)

    async def stop(self) -> None:
        """What the store has not taken by now is told by the decisions of the settings alone."""
        await self._announcing.stop()

    def tell(self, altered: Sequence[Altered]) -> None:
        """A reload took effect. ``altered`` may be empty: secrets behind the same references were read again."""
        desk = self._desk()
        told, whole = _bounded(altered)
        decision = Decision(
            verb=Verb.CONFIG,
            at_us=desk.clock.now_us(),
            actor="node",
            subject="configuration",
            reason=UPDATED,
            facts={"changed": len(altered), "diff": msgspec.json.encode(told).decode(), "whole": whole},
        )
        data = {
            "node": desk.info.get("node", ""),
            "changed": len(altered),
            "changes": msgspec.to_builtins(told),
            "whole": whole,
        }
        self._announcing.tell(data, decision)


def _bounded(altered: Sequence[Altered]) -> tuple[list[Altered], bool]:
    """The first of them, as many as take up 16 KiB, and whether these are all."""
    told: list[Altered] = []
    left_bytes = DIFF_BYTES_MAX
    for one in altered:
        left_bytes -= len(msgspec.json.encode(one)) + 1
        if left_bytes < 0:
            return told, False
        told.append(one)
    return told, True
