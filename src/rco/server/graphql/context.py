"""What resolvers share within one request: who asks, what may still be asked for, and what was read already."""

from __future__ import annotations

from collections.abc import Callable

import strawberry
from strawberry.dataloader import DataLoader

from rco.errors import Forbidden, Reason, Refused
from rco.kit.ids import id_bytes
from rco.model.principal import Principal, Role
from rco.model.run import RunRow
from rco.objects.content import ContentStore
from rco.operations.access import Bearer, require
from rco.operations.desk import Desk
from rco.server.graphql.options import GraphqlOptions
from rco.store.contract.reader import RunFilter

__all__ = ["Asked", "Context", "identity"]


class Context:
    """One request. ``admit`` refuses new work where the service takes none."""

    def __init__(
        self,
        desk: Desk,
        principal: Principal,
        *,
        corr_id: str,
        trace: str,
        b3: str,
        options: GraphqlOptions,
        contents: ContentStore | None,
        admit: Callable[[], None],
    ) -> None:
        self.desk, self.principal = desk, principal
        self.corr_id, self.trace, self.b3 = corr_id, trace, b3
        self.options, self.contents = options, contents
        self._admit = admit
        self.operation_name: str | None = None
        """What the operation that is executed was named by."""
        self._spent = 0
        self.runs: DataLoader[bytes, RunRow | None] = DataLoader(load_fn=self._load_runs, max_batch_size=500)

    def spend(self, nodes: int) -> None:
        """Count what is about to be asked for, before the store is. Raises ``Refused``."""
        self._spent += nodes
        if self._spent > self.options.node_limit:
            text = f"The query asks for more than {self.options.node_limit} things. Ask for smaller pages."
            raise Refused(Reason.MALFORMED, "graphql_nodes", text)

    def page(self, first: int) -> int:
        """A page of ``first``, counted. Raises ``Refused``."""
        limit = self.options.page_limit
        if not 1 <= first <= limit:
            raise Refused(Reason.MALFORMED, "graphql_page", f"first: is {first}; give 1 to {limit}.")
        self.spend(first)
        return first

    def change(self) -> None:
        """Pass when this request may change something. Raises ``Refused`` and ``Forbidden``."""
        self._admit()
        match self.options.mutations:
            case "off":
                raise Forbidden("mutations are switched off.", cure="Use the control API.")
            case "capability" if not isinstance(self.principal, Bearer):
                raise Forbidden(
                    "a mutation needs a capability.",
                    cure="Show one as the bearer token (rco capability mint), or set graphql.mutations: principals.",
                )

    async def _load_runs(self, ids: list[bytes]) -> list[RunRow | None]:
        """All that this level of the query asks for, in one read."""
        require(self.principal, Role.VIEWER)
        where = RunFilter(namespace=self.principal.namespace, ids=tuple(ids), limit=len(ids))
        found = {row.run_id: row for row in await self.desk.reader.runs(where)}
        return [found.get(run_id) for run_id in ids]


Asked = strawberry.Info[Context, None]
"""What a resolver is given besides its arguments."""


def identity(text: str, field: str) -> bytes:
    """The 16 bytes of an identity. Raises ``Refused(MALFORMED)`` that names ``field``."""
    try:
        return id_bytes(text)
    except ValueError:
        raise Refused(Reason.MALFORMED, "bad_identity", f"{field}: not the text of a UUID.") from None
