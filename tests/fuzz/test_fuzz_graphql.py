"""Queries that fit the schema, and texts that fit nothing: each gets a GraphQL answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.conftest import Target, examples, rounds

SDL = Path(__file__).parents[2] / "docs/reference/schema.graphql"
SCHEMA = schemathesis.graphql.from_path(str(SDL))
OPERATIONS = {one.label: one for one in (found.ok() for found in SCHEMA.get_all_operations())}
SIGNS = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "!",
    "...",
    "@",
    "$",
    "|",
    "=",
    "&",
    '"',
    '"""',
    "#",
    ",",
    "\n",
    "\ufeff",
    "\\",
]
NAMES = ["query", "mutation", "subscription", "fragment", "on", "runs", "nodes", "id", "first", "null", "true", "1e999"]
ODD = ["__schema", "__typename", "@skip(if: true)", "-0", "99999999999999999999", "\ud7ff", "\U0001f600", "é"]
WORDS = st.sampled_from([*SIGNS, *NAMES, *ODD])
TEXTS = st.one_of(st.lists(WORDS, max_size=40).map(" ".join), st.text(max_size=200))


def post(target: Target, body: Any) -> requests.Response:
    return requests.post(f"{target.url}/graphql", json=body, headers=target.headers, timeout=30)


def fine(answer: requests.Response) -> None:
    assert answer.status_code in (200, 400), (answer.status_code, answer.text)
    for error in answer.json().get("errors", ()):
        assert error["extensions"]["reason"] != "INTERNAL", error
        assert error["extensions"]["corr_id"] == answer.headers["X-Corr-ID"]


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_no_query_breaks_the_graph(target: Target, label: str) -> None:
    strategy = OPERATIONS[label].as_strategy()

    @examples(10)
    @given(case=strategy)
    def tries(case: Any) -> None:
        fine(post(target, {"query": case.body}))

    for _ in rounds(6 * len(OPERATIONS)):
        tries()
    target.alive()


def test_no_text_breaks_the_graph(target: Target) -> None:
    json = st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )

    @examples(150)
    @given(
        text=TEXTS, variables=st.none() | st.dictionaries(st.text(max_size=8), json, max_size=3), name=st.none() | TEXTS
    )
    def tries(text: str, variables: Any, name: str | None) -> None:
        fine(post(target, {"query": text, "variables": variables, "operationName": name}))

    for _ in rounds(12):
        tries()
    target.alive()
