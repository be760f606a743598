"""The bridge's state of health, kept: the store asked, the sentinel asked to look, and a change made known to all."""

from __future__ import annotations

from collections.abc import Callable

from rco.bridge.brownout import RETRY_AFTER_S, Judged, Sentinel
from rco.bridge.dependency import Dependency
from rco.bridge.watch import Watch
from rco.kit.lifecycle import Lives
from rco.model.decision import Decision, Verb
from rco.operations.announcing import Announcing
from rco.operations.desk import Desk
from rco.telemetry import signals

__all__ = ["BROWNOUT_EVENT", "Unwell"]

BROWNOUT_EVENT = "interop.bridge.brownout.v1"


class Unwell:
    """Keeps the ``kit.lifecycle.Lives`` contract. ``dependencies`` are asked for as long as this lives.

    When a brownout begins or ends there is a line in the log, the metric changes at once, and the event
    ``interop.bridge.brownout.v1`` is made durable with the decision: as soon as the store takes it, as its being away
    may be the cause, and in the order of the changes.
    """

    def __init__(
        self,
        sentinel: Sentinel,
        desk: Callable[[], Desk],
        queue_share: Callable[[], float],
        dependencies: tuple[Dependency, ...],
    ) -> None:
        self._sentinel, self._desk = sentinel, desk
        here = desk()
        self._lives: list[Lives] = [*dependencies, Watch(sentinel, here.clock, queue_share, self._changed)]
        self._announcing = Announcing(desk, BROWNOUT_EVENT)
        here.metrics.gauge(signals.INTEROP_BROWNOUT, component="bridge").watch(lambda: sentinel.active)

    async def start(self) -> None:
        for one in self._lives:
            await one.start()

    async def stop(self) -> None:
        for one in reversed(self._lives):
            await one.stop()
        await self._announcing.stop()

    def _changed(self, judged: Judged) -> None:
        desk = self._desk()
        word = "begins" if judged.active else "ends"
        refusing = self._sentinel.enabled
        desk.log.warning("bridge.brownout", detail=word, reason=",".join(judged.causes))
        decision = Decision(
            verb=Verb.BROWNOUT,
            at_us=desk.clock.now_us(),
            actor="node",
            subject="bridge",
            reason=word,
            allow=not judged.active,
            facts={"causes": ",".join(judged.causes), "mode": _mode(refusing)},
        )
        data = {
            "component": "bridge",
            "active": judged.active,
            "causes": list(judged.causes),
            "refusing_writes": judged.active and refusing,
            "retry_after_s": RETRY_AFTER_S if judged.active else 0,
        }
        self._announcing.tell(data, decision)


def _mode(refusing: bool) -> str:
    return "writes_refused" if refusing else "watching_only"
