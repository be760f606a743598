"""A log line says what happened and nothing that could hurt."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from rco.errors import Conflict
from rco.telemetry.fields import ALWAYS, FIELDS
from rco.telemetry.logs import MAX_VALUE_CHARS, Level, Log, bridge_stdlib


class FixedClock:
    def now_us(self) -> int:
        return 1_795_257_415_338_692

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(stream: io.StringIO) -> Log:
    return Log(stream, FixedClock(), pseudonym_key=b"k" * 32)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_required_fields_are_always_there(log: Log, stream: io.StringIO) -> None:
    log.info("service.ready")
    (line,) = lines(stream)
    assert set(ALWAYS) <= set(line)
    assert line["timestamp"] == line["ts"] == "2026-11-21T10:36:55.338692Z"
    assert (line["level"], line["event"], line["service"]) == ("info", "service.ready", "rco")
    assert line["trace_id"] == line["user_id"] == line["code"] == ""


def test_fields_that_are_given(log: Log, stream: io.StringIO) -> None:
    log.warning("request.refused", reason="UNAUTH", status=401, latency_ms=1.5, route="/webhooks/{provider}", code=None)
    (line,) = lines(stream)
    assert (line["reason"], line["status"], line["latency_ms"], line["code"]) == ("UNAUTH", 401, 1.5, None)
    assert line["level"] == "warning"


def test_what_is_not_on_the_list_is_dropped_and_counted(log: Log, stream: io.StringIO) -> None:
    log.info("call.done", target="payments", payload={"card": "4111"}, authorization="Bearer x", password="hunter2")
    text = stream.getvalue()
    assert set(lines(stream)[0]) <= set(FIELDS)
    assert "4111" not in text
    assert "hunter2" not in text
    assert log.fields_dropped == 3


@pytest.mark.parametrize("value", [{"a": 1}, ["a"], b"bytes", object(), ("a",)])
def test_a_value_that_is_not_plain_is_dropped(log: Log, stream: io.StringIO, value: object) -> None:
    log.info("call.done", reason=value)
    assert "reason" not in lines(stream)[0]
    assert log.fields_dropped == 1


def test_who_writes_may_not_set_the_time_or_the_level(log: Log, stream: io.StringIO) -> None:
    log.info("x", timestamp="1970", ts="1970", level="debug")
    (line,) = lines(stream)
    assert str(line["timestamp"]).startswith("2026")
    assert line["level"] == "info"


def test_one_object_is_one_line_whatever_it_holds(log: Log, stream: io.StringIO) -> None:
    log.info("x", reason='a\nb\r{"event":"forged"}\u2028\x00\ud800')
    assert stream.getvalue().count("\n") == 1
    assert len(lines(stream)) == 1


def test_a_long_value_is_cut(log: Log, stream: io.StringIO) -> None:
    log.info("e" * 10_000, reason="r" * 10_000)
    (line,) = lines(stream)
    assert len(str(line["reason"])) == len(str(line["event"])) == MAX_VALUE_CHARS


def test_the_user_is_a_keyed_pseudonym(log: Log, stream: io.StringIO) -> None:
    log.info("a", user_id="alice@example.org")
    log.info("b", user_id="alice@example.org")
    log.info("c", user_id="bob@example.org")
    log.bind(user_id="alice@example.org").info("d")
    Log(stream, FixedClock(), pseudonym_key=b"K" * 32).info("e", user_id="alice@example.org")
    first, again, bob, bound, other_key = [str(line["user_id"]) for line in lines(stream)]
    assert first == again == bound
    assert first.startswith("u_")
    assert len({first, bob, other_key}) == 3
    assert "alice" not in stream.getvalue()


@pytest.mark.parametrize("key", [b"", b"k" * 31, b"k" * 33])
def test_a_short_key_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="give 32"):
        Log(io.StringIO(), FixedClock(), pseudonym_key=key)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer s3cr3t-token", "s3cr3t"),
        ("header was bearer abc.def.ghi", "abc.def"),
        ("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjp"),
        ("key whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw bad", "MfKQ9r8"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqL"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig", "eyJzdWIi"),
        ("https://user:pa55word@db.example/x", "pa55word"),
        ("password=hunter2 tried", "hunter2"),
        ("signature: v1,abcdef", "abcdef"),
    ],
)
def test_text_in_the_shape_of_a_credential_is_masked(log: Log, stream: io.StringIO, text: str, secret: str) -> None:
    log.info("x", reason=text)
    assert secret not in stream.getvalue()
    assert "***" in stream.getvalue()


@pytest.mark.parametrize(
    "text", ["sig_mismatch", "token bucket is empty", "basic checks passed", "risk_assessment_done"]
)
def test_ordinary_text_is_left_as_it_is(log: Log, stream: io.StringIO, text: str) -> None:
    log.info("x", reason=text)
    assert lines(stream)[0]["reason"] == text


def test_an_exception_is_its_type_and_place_never_its_message(log: Log, stream: io.StringIO) -> None:
    try:
        raise Conflict("order 4111-1111 exists")
    except Conflict as error:
        log.error("operation.failed", error=error, reason="conflict")
    (line,) = lines(stream)
    assert line["error"] == "Conflict"
    assert ":test_an_exception_is_its_type_and_place_never_its_message:" in str(line["where"])
    assert "4111" not in stream.getvalue()


def test_the_level_is_a_floor(stream: io.StringIO) -> None:
    log = Log(stream, FixedClock(), pseudonym_key=b"k" * 32, level=Level.WARNING)
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [line["event"] for line in lines(stream)] == ["c", "d"]


def test_bound_fields_are_in_every_line_and_given_ones_win(log: Log, stream: io.StringIO) -> None:
    bound = log.bind(corr_id="c-1", route="/v1/runs", secret="s").bind(run="r-1")
    bound.info("a")
    bound.info("b", route="/other")
    log.info("c")
    first, second, third = lines(stream)
    assert (first["corr_id"], first["run"], first["route"]) == ("c-1", "r-1", "/v1/runs")
    assert second["route"] == "/other"
    assert "corr_id" not in third
    assert "secret" not in first


def test_a_stream_that_is_gone_stops_nothing(log: Log, stream: io.StringIO) -> None:
    stream.close()
    log.info("a")
    log.bind(run="r").error("b")
    assert log.lines_lost == 2


# --- libraries ---


@pytest.fixture
def library(log: Log) -> Iterator[logging.Logger]:
    logger = logging.getLogger("rco.test.library")
    logger.propagate = False
    bridge_stdlib(log, logger=logger.name)
    yield logger
    logger.handlers.clear()


def test_a_librarys_warning_comes_without_its_arguments(library: logging.Logger, stream: io.StringIO) -> None:
    library.warning("cannot reach %s with %r", "https://user:pw@x", {"card": "4111"})
    library.info("quiet")
    (line,) = lines(stream)
    assert line["event"] == "library"
    assert line["logger"] == "rco.test.library"
    assert line["level"] == "warning"
    assert line["reason"] == "cannot reach %s with %r"
    assert "4111" not in stream.getvalue()


def test_a_librarys_traceback_comes_as_type_and_place(library: logging.Logger, stream: io.StringIO) -> None:
    try:
        raise KeyError("4111")
    except KeyError:
        library.exception("failed\nsecond line 4111")
    (line,) = lines(stream)
    assert (line["level"], line["error"], line["reason"]) == ("error", "KeyError", "failed")
    assert "4111" not in stream.getvalue()


def test_bridging_twice_does_not_write_twice(library: logging.Logger, log: Log, stream: io.StringIO) -> None:
    bridge_stdlib(log, logger=library.name)
    library.error("once")
    assert len(lines(stream)) == 1
