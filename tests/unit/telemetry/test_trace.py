"""W3C trace context, read strictly."""

import re

import pytest

from rco.kit.ids import Ids
from rco.telemetry.trace import TraceContext, new_trace, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
)
def test_what_is_accepted(text: str, sampled: bool) -> None:
    assert parse_traceparent(text) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "garbage",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE}-{SPAN}-zz",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}\u0660-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 1000,
    ],
)
def test_what_is_not(text: str | None) -> None:
    assert parse_traceparent(text) is None


def test_a_child_is_in_the_same_trace() -> None:
    parent = TraceContext(TRACE, SPAN, sampled=False)
    child = parent.child(Ids())
    assert (child.trace_id, child.sampled) == (TRACE, False)
    assert child.span_id != SPAN
    assert parse_traceparent(child.traceparent) == child


def test_a_new_trace_is_well_formed_and_new() -> None:
    ids = Ids()
    traces = [new_trace(ids) for _ in range(50)]
    assert len({trace.trace_id for trace in traces}) == 50
    for trace in traces:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace.traceparent)
        assert parse_traceparent(trace.traceparent) == trace


def test_the_identity_of_zeros_is_never_made() -> None:
    zeros = Ids(random=bytes)
    trace = new_trace(zeros)
    assert parse_traceparent(trace.traceparent) == trace
    assert parse_traceparent(trace.child(zeros).traceparent) is not None
