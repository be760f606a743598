import pytest

from rco.egress.incoming import plain_body
from rco.egress.redaction import DEPTH_LIMIT, REDACTED, Redaction, TooDeep


def test_named_fields_go_wherever_they_are_and_however_they_are_spelled() -> None:
    value = {
        "Authorization": "Bearer abc",
        "access_token": "t1",
        "API-Key": "k",
        "card": {"cardNumber": "4111", "CVC": 123, "last4": "1111"},
        "list": [{"client.secret": {"deep": "x"}}, {"password": None}, "token"],
        "next_page": "n",
    }
    assert Redaction().value(value) == {
        "Authorization": REDACTED,
        "access_token": REDACTED,
        "API-Key": REDACTED,
        "card": {"cardNumber": REDACTED, "CVC": REDACTED, "last4": "1111"},
        "list": [{"client.secret": REDACTED}, {"password": None}, "token"],
        "next_page": "n",
    }


def test_a_targets_own_names_are_added() -> None:
    assert Redaction(["Tax_Number"]).value({"taxNumber": 7, "token": 1, "n": 2}) == {
        "taxNumber": REDACTED,
        "token": REDACTED,
        "n": 2,
    }


def test_headers_are_kept_by_name() -> None:
    kept = Redaction(["X-Request-Id"]).headers(
        {
            "Content-Type": "text/plain",
            "Set-Cookie": "sid=1",
            "Authorization": "Bearer x",
            "X-Anything": "y",
            "X-Request-Id": "r",
            "Location": "https://user:pw@h.example/a?token=1#f",
        }
    )
    assert kept == {"content-type": "text/plain", "x-request-id": REDACTED, "location": "https://h.example/a"}


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2value&x=1",
        "token: hunter2value",
        "Authorization: Bearer hunter2value",
        "{'api_key': 'hunter2value'",
        '{"client-secret" : "hunter2value", broken',
        "PASSWORD = hunter2value",
        '"token":"hunter2value',
    ],
)
def test_text_loses_what_stands_behind_a_name(text: str) -> None:
    redacted = Redaction().text(text)
    assert "hunter2value" not in redacted
    assert REDACTED in redacted


def test_text_without_names_stays() -> None:
    text = "the tokens: are=fine, compassword=x"
    assert Redaction().text(text) == text


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_is_bounded() -> None:
    Redaction().value(nested(DEPTH_LIMIT))
    with pytest.raises(TooDeep):
        Redaction().value(nested(DEPTH_LIMIT + 1))


@pytest.mark.parametrize(
    ("raw", "content_type", "expected"),
    [
        (b"", "application/json", (None, False)),
        (b'{"a":1}', "application/json; charset=utf-8", ({"a": 1}, False)),
        (b'{"a":1}', "application/problem+json", ({"a": 1}, False)),
        (b'{"a":1}', "text/plain", ('{"a":1}', False)),
        (b'{"token":"secretive', "application/json", (f'{{"token":{REDACTED}', False)),
        (b"[" * 5000, "application/json", ("[" * 5000, False)),
        (b"18446744073709551616", "application/json", ("18446744073709551616", False)),
        (
            b"[18446744073709551616,-9223372036854775809]",
            "application/json",
            (["18446744073709551616", "-9223372036854775809"], False),
        ),
        (b"\xe9", "text/plain; charset=ISO-8859-1", ("é", False)),
        (b"\xff\xfe\x00", "application/octet-stream", ("//4A", True)),
        (b'{"echo":"my-secret-value"}', "application/json", ({"echo": REDACTED}, False)),
        (b"...my-secret-value...", "text/html", (f"...{REDACTED}...", False)),
    ],
)
def test_a_body_becomes_plain_data(raw, content_type, expected) -> None:
    assert plain_body(raw, content_type, Redaction(), "my-secret-value") == expected
