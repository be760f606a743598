"""Collect payloads that nothing refers to any more: on schedule, or when somebody asks."""

from __future__ import annotations

import asyncio

from rco.errors import Conflict, NotFound
from rco.kit.clock import iso
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision, Verb
from rco.model.principal import Principal, Role
from rco.model.wire_payloads import PayloadSweep
from rco.operations.access import require_everywhere
from rco.operations.desk import Desk
from rco.payloads.options import PayloadOptions
from rco.payloads.sweeping import Sweeper, Swept
from rco.telemetry import signals

__all__ = ["PayloadGc", "collect_payloads", "show_payloads"]


class PayloadGc:
    """The background duty of one node. Where several nodes share a database, the one that owns shard 0 does it."""

    def __init__(self, sweeper: Sweeper, options: PayloadOptions) -> None:
        self._sweeper, self.options = sweeper, options
        self._task: asyncio.Task[None] | None = None
        self._at_work = asyncio.Lock()
        self.last: PayloadSweep | None = None

    def begin(self, desk: Desk) -> None:
        """Do it every ``options.gc_every_s`` from now on."""
        self._task = asyncio.get_running_loop().create_task(self._duty(desk), name="rco-payload-gc")

    async def stop(self) -> None:
        await stop_task(self._task)

    async def _duty(self, desk: Desk) -> None:
        while True:
            if desk.engine.owns(0):
                try:
                    await self.run(desk, "node")
                except Exception as problem:  # noqa: BLE001 - whatever it is, this goes on
                    desk.log.warning("payloads.gc_failed", error=problem)
            await asyncio.sleep(self.options.gc_every_s)

    async def run(self, desk: Desk, actor: str, *, preview: bool = False) -> PayloadSweep:
        """Look at every object once; what was unused for the whole of the grace is removed, or with ``preview``
        counted. Raises ``Conflict`` while another look is under way, ``StoreError`` when store or objects are away."""
        if self._at_work.locked():
            raise Conflict("payloads are being looked at already.", cure="Ask again when that has ended.")
        async with self._at_work:
            swept = await self._sweeper.look(desk.clock.now_us(), self.options.gc_grace_s, preview=preview)
        view = PayloadSweep(
            at=iso(desk.clock.now_us()),
            preview=preview,
            used=swept.used,
            waiting=swept.waiting,
            removed=swept.removed,
            removed_bytes=swept.removed_bytes,
        )
        if not preview:
            self.last = view
            self._tell(desk, actor, swept)
        return view

    def _tell(self, desk: Desk, actor: str, swept: Swept) -> None:
        desk.metrics.gauge(signals.PAYLOAD_OBJECTS, state="used").set(swept.used)
        desk.metrics.gauge(signals.PAYLOAD_OBJECTS, state="waiting").set(swept.waiting)
        desk.metrics.counter(signals.PAYLOADS_COLLECTED).add(swept.removed)
        desk.metrics.counter(signals.PAYLOAD_SIZE_COLLECTED).add(swept.removed_bytes)
        if swept.removed:
            desk.note(
                Decision(
                    verb=Verb.RETAIN,
                    at_us=desk.clock.now_us(),
                    actor=actor,
                    subject="payloads",
                    reason="unused",
                    facts={"count": swept.removed, "size_bytes": swept.removed_bytes},
                )
            )


async def show_payloads(desk: Desk, principal: Principal) -> PayloadSweep:
    """What the last look of this node found. Needs the viewer's role over all namespaces. Raises ``NotFound`` where no
    payload is kept by reference."""
    require_everywhere(principal, Role.VIEWER)
    return _gc(desk).last or PayloadSweep(at=None, preview=False, used=0, waiting=0, removed=0, removed_bytes=0)


async def collect_payloads(desk: Desk, principal: Principal, *, preview: bool) -> PayloadSweep:
    """Look now. Needs the administrator's role over all namespaces. Raises as ``PayloadGc.run``, and ``NotFound`` where
    no payload is kept by reference."""
    require_everywhere(principal, Role.ADMIN)
    return await _gc(desk).run(desk, f"principal:{principal.principal_id}", preview=preview)


def _gc(desk: Desk) -> PayloadGc:
    gc: PayloadGc | None = desk.payload_gc
    if gc is None:
        raise NotFound("no payload is kept by reference here.", cure="Set payloads.object_store_over: 256KiB.")
    return gc
