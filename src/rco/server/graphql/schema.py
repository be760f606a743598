"""The schema with its limits, and its text."""

from __future__ import annotations

import strawberry
from graphql import ASTValidationRule, NoSchemaIntrospectionCustomRule
from strawberry.extensions import AddValidationRules, MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig

from rco.server.graphql.limits import OneOperation, limits
from rco.server.graphql.mutations import Mutation
from rco.server.graphql.options import GraphqlOptions
from rco.server.graphql.queries import Query
from rco.server.graphql.types import DateTime

__all__ = ["build", "sdl"]

_DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="RFC 3339, in UTC.",
    specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
    serialize=str,
    parse_value=str,
)


def build(options: GraphqlOptions) -> strawberry.Schema:
    """A schema that refuses what is longer, deeper or of more aliases than ``options`` say before anything is read."""
    rules: list[type[ASTValidationRule]] = [limits(options.depth_limit, options.alias_limit)]
    if not options.introspection:
        rules.append(NoSchemaIntrospectionCustomRule)
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        extensions=[
            lambda: MaxTokensLimiter(max_token_count=options.token_limit),
            lambda: AddValidationRules(rules),
            OneOperation,
        ],
        config=StrawberryConfig(disable_field_suggestions=not options.introspection, scalar_map={DateTime: _DATE_TIME}),
    )


def sdl() -> str:
    """The schema in its own language, the same text at each call."""
    return build(GraphqlOptions()).as_str() + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(sdl())
