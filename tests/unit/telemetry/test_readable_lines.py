"""Lines for people say the same as those for machines, and cannot be forged by what they quote."""

from __future__ import annotations

import io

from rco.kit.clock import SystemClock
from rco.telemetry.logs import Log


def line(**fields: object) -> str:
    stream = io.StringIO()
    Log(stream, SystemClock(), pseudonym_key=bytes(32), readable=True).info("webhook.refused", **fields)
    return stream.getvalue()


def test_one_line_with_the_fields_that_say_something() -> None:
    told = line(provider="shop", reason="UNAUTH", status=401, corr_id="")
    assert told.endswith("\n")
    assert "info    webhook.refused" in told
    assert "provider=shop" in told
    assert "status=401" in told
    assert "corr_id" not in told


def test_nothing_in_a_value_ends_the_line_or_reaches_the_terminal() -> None:
    told = line(reason="a\n12:00 error forged\x1b[31m\u2028red")
    assert told.count("\n") == 1
    assert "\x1b" not in told
    assert "\u2028" not in told
