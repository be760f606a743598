"""Logs never hold an unknown field; trace headers never do anything but parse or not; expressions never leak."""

import io
import json
import os
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from rco.errors import ConfigInvalid, ExpressionFailed
from rco.expr.jq import Expression
from rco.telemetry.fields import ALWAYS, FIELDS
from rco.telemetry.logs import MAX_VALUE_CHARS, Log
from rco.telemetry.trace import parse_traceparent

RULES = settings(derandomize=True, max_examples=60, deadline=None, database=None)


class FixedClock:
    def now_us(self) -> int:
        return 1

    def monotonic(self) -> float:
        return 0.0


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(sorted(FIELDS)) | st.text(max_size=8)


@RULES
@given(st.text(), st.dictionaries(names, anything, max_size=6), st.dictionaries(names, anything, max_size=3))
def test_a_line_holds_only_known_fields_of_plain_values(event: str, fields: dict, bound: dict) -> None:
    stream = io.StringIO()
    log = Log(stream, FixedClock(), pseudonym_key=b"k" * 32)
    fields.pop("event", None)
    log.bind(**bound).info(event, **{name: value for name, value in fields.items() if name != "self"})
    text = stream.getvalue()
    assert log.lines_lost == 0
    assert len(text.splitlines()) == 1
    line = json.loads(text)
    assert set(ALWAYS) <= set(line) <= set(FIELDS)
    for name, value in line.items():
        assert value is None or isinstance(value, (str, int, float)), name
        assert len(value) <= MAX_VALUE_CHARS + 50 if isinstance(value, str) else True
    if line["user_id"]:
        assert re.fullmatch(r"u_[0-9a-f]{24}", line["user_id"])


@RULES
@given(
    st.text(max_size=70)
    | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{2}(-.*)?", fullmatch=True)
)
def test_a_trace_header_is_of_the_form_or_nothing(text: str) -> None:
    context = parse_traceparent(text)
    if context is None:
        return
    assert text[3:35] == context.trace_id
    assert text[36:52] == context.span_id
    assert parse_traceparent(context.traceparent) == context


# Pieces of jq around the words that must not work, put together at random.
PIECES = (
    *("env", "$ENV", ".env", '"', "\\(", ")", "(", "#", "\n", " ", "|", ".", "{", "}", ":", ",", "input", "debug"),
    *("[", "]", "@base64", "as $x", "$x", "a", "?", "//", "\\", "1", ";", "try", "catch", ".PATH", "tojson"),
)
pieces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join)


@settings(RULES, max_examples=300)
@given(pieces)
def test_no_expression_reads_the_environment(text: str) -> None:
    try:
        output = Expression.compile(text).first({"a": 1})
    except (ConfigInvalid, ExpressionFailed) as error:
        output = str(error)
    assert os.environ["PATH"] not in json.dumps(output)
