"""How deep a query nests and how many aliases it has, counted before anything of it runs.

Fragments are looked at once each: expanding them as often as they are spread takes time that doubles with each one,
which is an attack of a few hundred bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)
from strawberry.extensions import SchemaExtension

__all__ = ["OneOperation", "limits"]


class _Size(NamedTuple):
    depth: int
    aliases: int


_NOTHING = _Size(0, 0)


def limits(depth_limit: int, alias_limit: int) -> type[ValidationRule]:
    """A rule of validation."""

    class Limits(ValidationRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            count = _Count(context)
            sizes = [
                count.size(one.selection_set)
                for one in context.document.definitions
                if isinstance(one, (OperationDefinitionNode, FragmentDefinitionNode))
            ]
            depth = max((size.depth for size in sizes), default=0)
            aliases = max((size.aliases for size in sizes), default=0)
            if depth > depth_limit:
                context.report_error(GraphQLError(f"The query nests {depth} deep; {depth_limit} is the limit."))
            if aliases > alias_limit:
                context.report_error(GraphQLError(f"The query has {aliases} aliases; {alias_limit} is the limit."))

    return Limits


class OneOperation(SchemaExtension):
    """Refuses several operations where none is named: the library would run the first, the specification none."""

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        document = context.graphql_document
        # The library's own ``operation_name`` falls back to the first operation's.
        if document is not None and not context.context.operation_name:
            found = sum(isinstance(one, OperationDefinitionNode) for one in document.definitions)
            if found > 1:
                text = f"There are {found} operations; name one with operationName."
                context.pre_execution_errors = [GraphQLError(text)]
        yield


class _Count:
    """Sizes of the fragments of one document, each worked out once."""

    def __init__(self, context: ValidationContext) -> None:
        self._fragments = {
            one.name.value: one for one in context.document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self._known: dict[str, _Size] = {}

    def size(self, selections: SelectionSetNode | None) -> _Size:
        """``__typename`` and leaves are as deep as what they stand in."""
        if selections is None:
            return _NOTHING
        depth = aliases = 0
        for one in selections.selections:
            if isinstance(one, FragmentSpreadNode):
                inner = self._fragment(one.name.value)
            else:
                inner = self.size(getattr(one, "selection_set", None))
                if isinstance(one, FieldNode):
                    inner = _Size(inner.depth + 1, inner.aliases + (one.alias is not None))
            depth, aliases = max(depth, inner.depth), aliases + inner.aliases
        return _Size(depth, aliases)

    def _fragment(self, name: str) -> _Size:
        known = self._known.get(name)
        if known is None:
            # One that spreads itself is refused by another rule; here it must only come to an end.
            self._known[name] = _NOTHING
            found = self._fragments.get(name)
            known = self._known[name] = _NOTHING if found is None else self.size(found.selection_set)
        return known
