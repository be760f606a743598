"""Small content at one node of a simulated world: put with a commit, moved later, read by anybody at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from rco.engine.engine import Engine
from rco.errors import EvidenceBroken
from rco.kit.clock import Clock
from rco.model.decision import Decision, Verb
from rco.objects.content import ContentStore, Meta
from rco.objects.staging import StagedObjects
from rco.operations.receive import admission_of
from rco.store.contract.changes import Admitted
from rco.testing.depot import DepotDoor
from rco.testing.plan import Plan
from rco.testing.store import ModelKeeper

__all__ = ["Uploads"]


class Uploads:
    """The content store of a node, over the depot."""

    def __init__(
        self, plan: Plan, keeper: ModelKeeper, depot: DepotDoor, clock: Clock, told: Callable[[str], None]
    ) -> None:
        self._staging = StagedObjects(
            cast("Any", depot),
            keeper.reader,
            clock,
            limit_bytes=plan.put_limit_bytes,
            trouble=lambda problem: told(f"content waits: {problem}"),
            orphan_s=plan.put_orphan_s,
        )
        self._store = ContentStore(self._staging, None, self._staging)
        self._clock = clock

    async def start(self) -> None:
        await self._staging.start()

    async def stop(self) -> None:
        await self._staging.stop()

    async def put(self, engine: Engine, data: bytes) -> str:
        """Put it and return its address, as ``rco.operations.content.record_put`` does."""
        filling = self._store.begin(Meta(type="text/plain"))
        await filling.write(data)
        stored = await filling.finish(self._staging)
        staged = stored.staged
        now_us = self._clock.now_us()
        accepted = [Decision(verb=Verb.ACCEPT, at_us=now_us, subject="put", b3=stored.address)]

        def then(outcome: Admitted) -> None:
            if staged is not None and outcome.status == "accepted":
                self._staging.keep(staged)

        try:
            admission = admission_of(None, [], [], None, accepted, [])
            admission.staged = staged
            await engine.submit(0, admission, then)
        except BaseException:
            if staged is not None:
                self._staging.drop(staged)
            raise
        return stored.address

    async def get(self, address: str) -> bytes | None:
        """What is there; empty where it is not what its address says."""
        content = await self._store.open(address)
        if content is None:
            return None
        try:
            return content.at_hand()
        except EvidenceBroken:
            return b""
