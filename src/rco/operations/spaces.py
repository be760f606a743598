"""Which namespaces there are, as this node knows them, and which of them the writer must ask about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.errors import Forbidden, NotFound, Overloaded, Reason, Refused
from rco.kit.lookout import Hear, Lookout, deaf
from rco.model.namespace import DEFAULT, NamespaceRow, NamespaceState
from rco.model.principal import Principal
from rco.operations.access import spaces
from rco.store.contract.namespaces import Namespaces
from rco.store.contract.writer import Writer

__all__ = ["REFRESH_S", "Spaces"]

REFRESH_S = 1.0
"""Between two looks, where nobody tells of changes."""
_pack = msgspec.msgpack.Encoder().encode


class Spaces:
    """Reads the namespaces when one has changed; what is changed on this node holds here at once.

    A namespace that gets its first quota is counted from then on by every node that knows of it. Each node asks for a
    count from the start when it comes to know, so once all know, nothing is missing from the count.
    """

    def __init__(
        self, namespaces: Namespaces, writer: Writer, trouble: Callable[[BaseException], None], hear: Hear = deaf
    ) -> None:
        self._namespaces, self._writer = namespaces, writer
        self._lookout = Lookout(self.look, beat_s=REFRESH_S, trouble=trouble, hear=hear, name="rco-namespaces")
        self._rows: dict[str, NamespaceRow] = {DEFAULT: NamespaceRow(name=DEFAULT)}
        self._watched: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Know what there is before anything is let in. Raises ``StoreError``."""
        await self._lookout.start()

    async def stop(self) -> None:
        await self._lookout.stop()

    async def look(self) -> None:
        """Read them now."""
        self._rows = {row.name: row for row in await self._namespaces.namespaces()}
        watched = frozenset(name for name, row in self._rows.items() if row.watched)
        new = watched - self._watched
        if watched != self._watched:
            self._writer.watch(watched)
            self._watched = watched
        if new:
            await self._namespaces.recount_namespaces(sorted(new))

    def bounded(self) -> list[str]:
        """Those whose quotas are asked."""
        return sorted(self._watched)

    def get(self, name: str) -> NamespaceRow | None:
        return self._rows.get(name)

    def known(self, name: str) -> NamespaceRow:
        """The namespace. Raises ``NotFound``."""
        row = self._rows.get(name)
        if row is None:
            raise NotFound(f"no namespace {name!r}.", cure="See `rco namespace list`.")
        return row

    def need_all(self, principal: Principal) -> None:
        """Raises ``Forbidden`` unless ``principal`` may enter every namespace there is, for what all of them share."""
        if not all(principal.may_enter(name) for name in self._rows):
            raise Forbidden(
                f"{principal.name!r} is bound to {', '.join(spaces(principal))}; others share this.",
                cure="Use the token of a principal of all namespaces.",
            )

    def fits(self, name: str, value: Any) -> None:
        """Raises ``Refused`` when ``value`` is a larger payload than the namespace may send."""
        row = self._rows.get(name)
        limit = None if row is None else row.quotas.payload_bytes
        if limit is not None and len(_pack(value)) > limit:
            raise Refused(
                Reason.POLICY_BLOCKED,
                "quota_payload_bytes",
                f"namespace {name!r} has the quota payload_bytes of {limit}, and this is more.",
            )

    def ticks(self, name: str) -> None:
        """Raises ``Overloaded`` when schedules of the namespace must wait because it is closed."""
        row = self._rows.get(name)
        if row is not None and row.state is not NamespaceState.ACTIVE:
            raise Overloaded(
                f"namespace {name!r} is {row.state.value}.", cure="Open it: rco namespace set --state active."
            )
