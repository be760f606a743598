"""One namespace of a simulated world is encrypted, and its key is erased while everything goes wrong.

The key is there when the world begins, under a root key that every node has. This is what a node has to do with it;
who confides something to it and has it erased is the ``tenant``.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import cast

from rco.encryption.concealing import Concealing
from rco.encryption.keys import Keys
from rco.encryption.revealing import revealing
from rco.encryption.wrapping import unwrapped, wrapped
from rco.engine.engine import Engine
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.model.run import Mode, RunRow
from rco.operations.erasure import Erasure
from rco.scheduler.scheduler import Scheduler
from rco.store.contract.namespace_keys import NamespaceKey
from rco.store.contract.reader import Reader
from rco.testing.clocks import EPOCH_US
from rco.testing.plan import Plan
from rco.testing.store import ModelKeeper

__all__ = ["NAMESPACE", "Secrecy", "at_rest", "key_of", "opens"]

NAMESPACE = "vault"


class _Root:
    """The root key of every node, and the ring that it is alone in."""

    kid, wrap_key = "root", b"\x07" * 32

    def minting(self, _: int) -> _Root:
        return self

    def find(self, kid: str) -> _Root | None:
        return self if kid == self.kid else None


_ROOT = _Root()


def key_of(plan: Plan) -> NamespaceKey:
    """The key that the database of this world begins with."""
    random = Random(f"vault {plan.seed}").randbytes  # noqa: S311 - it encrypts nothing outside of this process
    key_id = random(16)
    return NamespaceKey(
        key_id=key_id,
        namespace=NAMESPACE,
        version=1,
        root_kid=_ROOT.kid,
        wrapped=wrapped(_ROOT, NAMESPACE, key_id, random(32), random),
        made_us=EPOCH_US,
        from_us=EPOCH_US - 3600 * 1_000_000,
        actor="simulation",
        reason="",
        seq=1,
    )


def opens(key: NamespaceKey) -> bool:
    """Whether what stands in the database opens under the root key."""
    return unwrapped(_ROOT, key.namespace, key.key_id, key.wrapped) is not None


def at_rest(row: RunRow) -> bool:
    """Whether a run that is open has come to its end all the same: nobody can read it any more."""
    return row.namespace == NAMESPACE and row.mode is Mode.BLOCKED


class _NoSchedules:
    def forget_all(self, _: str) -> None:
        """There are none in this namespace."""


class Secrecy:
    """One node's side: its keys, what encrypts, and what sets runs aside after an erasure."""

    def __init__(self, keeper: ModelKeeper, clock: Clock, ids: Ids, told: Callable[[str], None]) -> None:
        self._keeper, self._clock, self._told = keeper, clock, told
        self.keys = Keys(keeper.reader, lambda: _ROOT, clock, ids, trouble=self._trouble)
        self._erasure: Erasure | None = None

    def _trouble(self, problem: BaseException) -> None:
        self._told(f"keys: {type(problem).__name__}: {problem}")

    async def start(self) -> Reader:
        """From now on what is written is encrypted; what the reader gives is not."""
        await self.keys.start()
        self._keeper.writer.conceal_with(Concealing(self.keys))
        return revealing(cast("Reader", self._keeper.reader), self.keys)

    async def watch(self, engine: Engine, scheduler: Scheduler | None) -> None:
        """Refuse and set aside what is erased."""
        engine.refuse_with(self.keys.require_open)
        self._erasure = Erasure(
            self.keys,
            engine,
            scheduler or cast("Scheduler", _NoSchedules()),
            self._keeper.writer,
            now_us=self._clock.now_us,
            trouble=self._trouble,
        )
        await self._erasure.start()

    async def stop(self) -> None:
        if self._erasure is not None:
            await self._erasure.stop()
        await self.keys.stop()
