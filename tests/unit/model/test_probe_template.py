"""Where a declared probe asks: what is written is taken apart before anything is put in."""

from __future__ import annotations

import pytest

from rco.model.probe_template import ProbeTemplate

WORDS = {"idempotency_key": "k-1", "run_id": "r", "corr_id": "c", "body": {"order": {"id": 7}}, "query": {"name": "n"}}


def filled(text: str, words=WORDS):
    return ProbeTemplate.compile(text).filled(words, lambda value: value.replace("/", "%2F"))


def test_words_are_filled_in_path_and_query() -> None:
    assert filled("/orders/{body.order.id}?ref={idempotency_key}&n={query.name}-{corr_id}&all=1") == (
        "/orders/7",
        {"ref": "k-1", "n": "n-c", "all": "1"},
    )
    assert filled("/orders") == ("/orders", {})


def test_a_value_never_becomes_a_slash_a_parameter_or_another_word() -> None:
    words = {**WORDS, "body": {"id": "a/b?c=d&{run_id}"}}
    assert filled("/o/{body.id}?x={body.id}", words) == ("/o/a%2Fb?c=d&{run_id}", {"x": "a/b?c=d&{run_id}"})


@pytest.mark.parametrize(
    "text",
    ["orders", "https://x/y", "/o/{key}", "/o/{body}", "/o/{body.}", "/o/{", "/o?x=}", "/o?x=1&x=2", "/o/{run_id.x}"],
)
def test_what_cannot_be_asked_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ProbeTemplate.compile(text)


@pytest.mark.parametrize("body", [{}, None, [1], {"id": None}, {"id": ""}, {"id": True}, {"id": {"a": 1}}])
def test_what_the_call_does_not_have_is_not_asked_by(body) -> None:
    with pytest.raises((LookupError, ValueError), match=r"body\.id"):
        filled("/o/{body.id}", {**WORDS, "body": body})
