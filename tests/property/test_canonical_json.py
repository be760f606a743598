"""Canonical JSON against another implementation, written from RFC 8785 with nothing of ours in it."""

import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from rco.kit.canonical import canonical_json, fingerprint

RULES = settings(derandomize=True, max_examples=60, deadline=None, database=None)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


def number(value: float) -> str:
    """ECMA-262, Number::toString, step by step over decimal digits."""
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    s = "".join(map(str, digits)).lstrip("0")
    n = len(s) + int(exponent)
    s = s.rstrip("0")
    k = len(s)
    if k <= n <= 21:
        out = s + "0" * (n - k)
    elif 0 < n <= 21:
        out = s[:n] + "." + s[n:]
    elif -6 < n <= 0:
        out = "0." + "0" * -n + s
    else:
        e = n - 1
        out = s[0] + ("." + s[1:] if k > 1 else "") + "e" + ("+" if e >= 0 else "-") + str(abs(e))
    return ("-" if sign else "") + out


def reference(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(map(reference, value)) + "]"
    assert isinstance(value, dict)
    keys = sorted(value, key=lambda key: memoryview(key.encode("utf-16-le")).cast("H").tolist())
    return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{reference(value[key])}" for key in keys) + "}"


@RULES
@given(values)
def test_it_is_what_the_other_implementation_writes(value: object) -> None:
    assert canonical_json(value).decode() == reference(value)


@RULES
@given(values)
def test_what_is_written_reads_back_and_is_written_the_same(value: object) -> None:
    once = canonical_json(value)
    # A number has one text, whether it was an integer or a float: beyond 2**53 the text of a float reads as an integer.
    read = json.loads(once, parse_int=float)
    assert read == value
    assert canonical_json(read) == once


def _reversed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [_reversed(inner) for inner in value]
    return value


@RULES
@given(values)
def test_the_order_of_keys_changes_neither_text_nor_fingerprint(value: object) -> None:
    assert canonical_json(_reversed(value)) == canonical_json(value)
    assert fingerprint("step", _reversed(value)) == fingerprint("step", value)


@RULES
@given(values, values)
def test_different_arguments_have_different_fingerprints(one: object, other: object) -> None:
    # json.dumps tells 1 and 1.0 and True apart, as a fingerprint must.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (fingerprint("call", one) == fingerprint("call", other)) is same
    assert fingerprint("call", one) != fingerprint("step", one)
