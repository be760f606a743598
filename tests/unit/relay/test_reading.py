"""From a broker's message to an event: what is one, and what is refused with which cause."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rco.brokers.contract import Incoming
from rco.relay.options import SourceSettings
from rco.relay.reading import Unreadable, event_of

CLOUD = SourceSettings(broker="b", topic="orders")
BARE = SourceSettings(broker="b", topic="orders", format="json", type="order.paid")
GOOD = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid", "data": {"n": 1}}


def message(body: bytes | dict[str, Any], key: str = "", **headers: str) -> Incoming:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Incoming("orders/0/7", key, raw, headers, None)


def read(body: bytes | dict[str, Any], settings: SourceSettings = CLOUD, key: str = "", **headers: str) -> Any:
    return event_of("src", settings, message(body, key, **headers), now_us=5, corr_id="c", body_limit_bytes=4096)


def test_structured() -> None:
    event = read({**GOOD, "time": "2026-01-02T03:04:05.5Z", "subject": "s-1"})
    assert (event.id, event.source, event.type, event.subject) == ("1", "/shop", "order.paid", "s-1")
    assert (event.data, event.origin, event.received_us) == (b'{"n":1}', "src", 5)
    assert event.time_us == 1767323045500000


@pytest.mark.parametrize("prefix", ["ce_", "ce-", "cloudEvents_"])
def test_binary(prefix: str) -> None:
    headers = {prefix + name: text for name, text in GOOD.items() if name != "data"}
    event = read(b'{"n": 1}', **headers)
    assert (event.id, event.source, event.type, event.data) == ("1", "/shop", "order.paid", b'{"n": 1}')


def test_a_bare_value_gets_the_type_and_its_place() -> None:
    event = read(b"[1, 2]", BARE, key="k-1")
    assert (event.id, event.source, event.type, event.subject) == ("orders/0/7", "/orders", "order.paid", "k-1")
    assert event.data == b"[1, 2]"
    assert event.time_us == 5


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 3000, "not JSON"),
        (b"x" * 5000, "5000 bytes"),
        (b"[]", "no specversion"),
        (b'{"type": "order.paid"}', "no specversion"),
        ({**GOOD, "specversion": "0.3"}, "not 1.0"),
        ({**GOOD, "id": ""}, "no id"),
        ({**GOOD, "id": 7}, "id is no text"),
        ({**GOOD, "source": "a\nb"}, "source is no text"),
        ({**GOOD, "type": "t" * 600}, "type is no text"),
        ({**GOOD, "data_base64": "AA=="}, "base64"),
        ({**GOOD, "time": "yesterday"}, "RFC 3339"),
        ({**GOOD, "time": "2026-01-02T03:04:05"}, "RFC 3339"),
    ],
)
def test_what_is_no_event_says_why_and_quotes_nothing(body: bytes | dict[str, Any], says: str) -> None:
    with pytest.raises(Unreadable, match=says) as caught:
        read(body)
    assert "yesterday" not in str(caught.value)
    assert "ttt" not in str(caught.value)


@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=12), st.text(max_size=20), max_size=4))
def test_anything_is_an_event_or_unreadable(body: bytes, headers: dict[str, str]) -> None:
    for settings in (CLOUD, BARE):
        try:
            event_of("src", settings, Incoming("p", "k", body, headers, None), now_us=1, corr_id="c")
        except Unreadable:
            continue


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda more: st.lists(more, max_size=3)))
def test_data_is_kept(data: Any) -> None:
    event = read({**GOOD, "data": data})
    assert json.loads(event.data) == data
