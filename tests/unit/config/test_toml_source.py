"""TOML with its lines: the values are the standard library's, the lines are where the keys stand."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.config.source import Node
from rco.config.toml_source import parse_toml
from rco.errors import ConfigInvalid

TEXT = '''\
# a comment with = and [brackets]
bind_addr = "127.0.0.1:8080" # why
text = """
[not.a.table]
key = 1
"""
other = \'\'\'
x = "]"\'\'\'
dotted . "in here".deep = { one = 1, two = [ 1,
  2, # ]
  3 ] }

[limits]
max_rps = 500
  burst_rps = 250

[brownout.thresholds]
error_rate_5m = 0.01

[[subscriptions]]
name = "one"
[[subscriptions]]

name = "two"
[subscriptions.more]
x = 1
[providers."a.b"]
since = 2026-11-21T10:00:00Z
list = [
  "#",
  'it"s',
]
after = true
'''


def lines(node: Node, key: str = "") -> dict[str, int]:
    found = {key: node.line} if key else {}
    if isinstance(node.value, dict):
        for name, inner in node.value.items():
            found |= lines(inner, f"{key}.{name}" if key else name)
    elif isinstance(node.value, list):
        for index, inner in enumerate(node.value):
            found |= lines(inner, f"{key}[{index}]")
    return found


def test_every_key_has_its_line() -> None:
    found = lines(parse_toml(TEXT.encode(), "f"))
    where = {
        "bind_addr": 2,
        "text": 3,
        "other": 7,
        "dotted.in here.deep": 9,
        "dotted.in here.deep.two[2]": 9,
        "limits": 13,
        "limits.max_rps": 14,
        "limits.burst_rps": 15,
        "brownout.thresholds.error_rate_5m": 18,
        "subscriptions[0].name": 21,
        "subscriptions[1].name": 24,
        "subscriptions[1].more.x": 26,
        "providers.a.b.since": 28,
        "providers.a.b.list[1]": 29,
        "providers.a.b.after": 33,
    }
    assert {key: found[key] for key in where} == where


def test_the_values_are_those_of_the_standard_library() -> None:
    plain = parse_toml(TEXT.encode(), "f").plain()
    known = tomllib.loads(TEXT)
    assert plain["providers"]["a.b"].pop("since") == "2026-11-21T10:00:00Z"
    known["providers"]["a.b"].pop("since")
    assert plain == known


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="ab.=[]{}\"'#\n ,1\\", max_size=60))
def test_whatever_it_is_it_is_read_whole_or_refused_with_a_line(text: str) -> None:
    try:
        known = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(ConfigInvalid) as caught:
            parse_toml(text.encode(), "f")
        assert caught.value.line >= 1
        return
    assert parse_toml(text.encode(), "f").plain() == known


@pytest.mark.parametrize("text", [b"\xff = 1", b"a = " + b"[" * 5000, b"a=1\na=2", b"x" * 300_000, b"a = {b = 1"])
def test_what_cannot_be_read(text: bytes) -> None:
    with pytest.raises(ConfigInvalid):
        parse_toml(text, "f")
