"""Search attributes: a record says one, and the keeper's projection is written by the same commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rco.engine.live import Live
from rco.engine.operation import Operation
from rco.engine.owner import Owner
from rco.kit.canonical import fingerprint
from rco.model.attribute import Attribute, Type
from rco.model.journal import Kind, Record
from rco.store.contract.attributes import AttributeChange

__all__ = ["Attributes", "SetAttribute", "attributes_of"]


class SetAttribute(Operation[None]):
    """Say an attribute of the run."""

    __slots__ = ("attribute",)

    def __init__(self, key: str, attribute: Attribute) -> None:
        super().__init__(key, fingerprint("attribute", _body(attribute)))
        self.attribute = attribute

    def describe(self) -> str:
        return f"attribute {self.attribute.name!r}"


class Attributes:
    """Writes it down. Resolves as it is armed."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def arm(self, live: Live, op: SetAttribute) -> None:
        owner = self._owner
        owner.append(live, Record(Kind.ATTRIBUTE, op.key, owner.clock.now_us(), op.fp, _body(op.attribute)))
        change = AttributeChange(live.run_id, live.namespace, op.attribute)
        owner.changes(live.run_id, live.shard).attributes.append(change)

    def drop(self, live: Live, op: Any) -> None:
        """Nothing can be pending."""


def _body(one: Attribute) -> list[Any]:
    return [one.name, int(one.type), one.text, one.number]


def attributes_of(records: Iterable[Record]) -> tuple[Attribute, ...]:
    """What a run with these records is found by: what its start declared, and what it said since."""
    found: dict[str, Attribute] = {}
    for record in records:
        if record.kind == Kind.START:
            said = [Attribute(*body) for body in record.body.get("attributes") or ()]
        elif record.kind == Kind.ATTRIBUTE:
            said = [Attribute(*record.body)]
        else:
            continue
        for one in said:
            found.pop(one.name, None)
            if one.type != Type.GONE:
                found[one.name] = one
    return tuple(found.values())
