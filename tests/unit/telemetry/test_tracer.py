"""Who is recorded, and under which identity what came in goes on."""

from __future__ import annotations

import random

from rco.kit.ids import Ids
from rco.telemetry.span import Span
from rco.telemetry.trace import parse_traceparent, span_id_of, span_of
from rco.telemetry.tracer import Tracer

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNRECORDED = CALLER[:-2] + "00"


def made(seed: int = 1) -> Ids:
    return Ids(random=random.Random(seed).randbytes)


def span(trace_id: str, span_id: str) -> Span:
    return Span(trace_id=trace_id, span_id=span_id, name="x", began_us=1, ended_us=2)


def test_what_comes_with_a_trace_goes_on_in_it_under_a_span_of_its_own() -> None:
    kept: list[Span] = []
    tracer = Tracer(made(), 0.0, kept.append)
    trace, parent = tracer.came(CALLER)
    assert (trace[:36], trace[52:], parent) == (CALLER[:36], CALLER[52:], CALLER[36:52])
    assert trace[36:52] != parent
    tracer.end(trace, span)
    assert [(one.trace_id, one.span_id) for one in kept] == [(CALLER[3:35], trace[36:52])]


def test_who_does_not_record_stands_in_nobodys_way() -> None:
    tracer = Tracer(made())
    assert not tracer.on
    assert tracer.came(CALLER) == (CALLER, CALLER[36:52])
    assert tracer.child(CALLER) == ""
    trace, parent = tracer.came("")
    # All calls of a story belong to one trace all the same.
    assert parse_traceparent(trace) is not None
    assert parent == ""


def test_what_its_caller_does_not_record_is_not_recorded_here() -> None:
    kept: list[Span] = []
    tracer = Tracer(made(), 1.0, kept.append)
    trace, _ = tracer.came(UNRECORDED)
    tracer.end(trace, span)
    assert tracer.child(trace) == ""
    assert kept == []
    assert trace.endswith("-00"), "whoever is called next is told so"


def test_of_the_traces_that_begin_here_the_ratio_is_recorded_and_every_node_agrees() -> None:
    kept: list[Span] = []
    tracer = Tracer(made(), 0.25, kept.append)
    roots = [tracer.root("00f067aa0ba902b7") for _ in range(4000)]
    recorded = [one for one in roots if one.endswith("-01")]
    assert 850 < len(recorded) < 1150
    assert len({one[3:35] for one in roots}) == 4000
    for text in recorded:
        assert int(text[3:35][-14:], 16) < 0.25 * 2**56
    assert all(not one.endswith("-01") for one in [Tracer(made(), 0.0, kept.append).root("1" * 16) for _ in range(200)])
    assert all(one.endswith("-01") for one in [Tracer(made(), 1.0, kept.append).root("1" * 16) for _ in range(200)])


def test_a_span_of_something_with_an_identity_is_the_same_everywhere() -> None:
    identity = Ids().uuid7()
    assert span_of(CALLER, identity) == f"{CALLER[:36]}{span_id_of(identity)}-01"
    assert parse_traceparent(span_of(CALLER, identity)) is not None
    child = Tracer(made(), 1.0, lambda _: None).child(span_of(CALLER, identity))
    assert child[:36] == CALLER[:36]
    assert parse_traceparent(child) is not None


def test_what_is_no_trace_is_none() -> None:
    tracer = Tracer(made(), 1.0, lambda _: None)
    for text in ("", "garbage", "x" * 55, CALLER.upper(), CALLER + "-x"):
        trace, parent = tracer.came(text)
        assert parse_traceparent(trace) is not None, text
        assert parent == "", text
    assert tracer.child("") == ""
    tracer.end("", span)
