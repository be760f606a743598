"""Bad input over a raw socket: a clear answer with its reason, never a 500, and nothing gets in."""

from __future__ import annotations

import hmac

import pytest

JSON = ("Content-Type", "application/json")
HOST = ("Host", "rco.example")
KEY = b"0123456789abcdef0123456789abcdef"


def nothing_got_in(edge) -> None:
    assert edge.deliveries == []
    assert (edge.turnstile.inflight, edge.turnstile.held_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("path", "method", "status", "reason", "detail"),
    [
        ("/webhooks/nobody", "POST", 404, "NOT_FOUND", "provider_unknown"),
        ("/webhooks/", "POST", 404, "NOT_FOUND", "provider_unknown"),
        ("/webhooks/acme/", "POST", 404, "NOT_FOUND", "provider_unknown"),
        ("/webhooks/acme%2F", "POST", 404, "NOT_FOUND", "provider_unknown"),
        ("/webhooks/acme%00", "POST", 404, "NOT_FOUND", "provider_unknown"),
        ("/webhooks/ACME", "POST", 404, "NOT_FOUND", "provider_unknown"),
        ("/webhooks/off", "POST", 403, "POLICY_BLOCKED", "provider_off"),
        ("/webhooks/acme", "GET", 405, "METHOD", "method"),
        ("/webhooks/acme", "PUT", 405, "METHOD", "method"),
        ("/webhooks/acme", "TRACE", 405, "METHOD", "method"),
        ("/webhooks/acme", "post", 405, "METHOD", "method"),
    ],
)
async def test_routes(edge, path, method, status, reason, detail) -> None:
    answer = await edge.ask(edge.request(path=path, method=method))
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.header("allow") == ("POST" if status == 405 else None)
    assert [decision.reason for decision in edge.decisions] == [detail]
    nothing_got_in(edge)


@pytest.mark.parametrize("path", ["/", "/webhook", "/webhooksacme", "/nothing", "/v1/runs", "//webhooks/acme", "/%00"])
async def test_unknown_paths(edge, path) -> None:
    answer = await edge.ask(edge.request(path=path))
    assert (answer.status, answer.reason) == (404, "NOT_FOUND")
    nothing_got_in(edge)


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
async def test_methods_that_are_never_wanted(edge, method) -> None:
    target = "rco.example:443" if method == "CONNECT" else "/healthz"
    answer = await edge.ask(edge.request([HOST], b"", path=target, method=method, length=False))
    assert answer.status == 405


@pytest.mark.parametrize("drop", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_unsigned(edge, drop) -> None:
    headers = [pair for pair in edge.signed() if pair[0] != drop]
    answer = await edge.ask(edge.request(headers))
    assert (answer.status, answer.reason) == (401, "UNAUTH")
    nothing_got_in(edge)


async def test_the_right_signature_on_another_provider_s_route(edge) -> None:
    answer = await edge.ask(edge.request(path="/webhooks/plain"))
    assert (answer.status, answer.reason) == (403, "UNAUTH")
    body = b'{"type":"a"}'
    other = [HOST, JSON, ("X-Signature", hmac.new(KEY, body, "sha256").hexdigest())]
    assert (await edge.ask(edge.request(other, body))).status == 401
    nothing_got_in(edge)
    assert (await edge.ask(edge.request(other, body, path="/webhooks/plain"))).status == 202


@pytest.mark.parametrize(
    "signature",
    [
        "v1,",
        "v1",
        ",",
        "v1," + "A" * 43,
        "v1," + "A" * 44,
        "v1,,",
        "v1a," + "A" * 43 + "=",
        "v1," + "A" * 60_00,
        " ".join(["v1," + "A" * 43 + "="] * 40),
        " ".join(["v1," + "A" * 43 + "="] * 200),
        "ÿÿÿÿ",
    ],
)
async def test_signatures_that_are_none(edge, signature) -> None:
    headers = [pair for pair in edge.signed() if pair[0] != "webhook-signature"]
    answer = await edge.ask(edge.request([*headers, ("webhook-signature", signature)]))
    assert (answer.status, answer.reason) == (401, "UNAUTH")
    nothing_got_in(edge)


async def test_a_signature_header_given_twice(edge) -> None:
    headers = edge.signed()
    for second in (headers[-1], ("Webhook-Signature", "v1,other")):
        answer = await edge.ask(edge.request([*headers, second]))
        assert (answer.status, answer.reason) == (400, "MALFORMED")
    nothing_got_in(edge)


@pytest.mark.parametrize(
    ("hosts", "status"),
    [([], 400), (["a", "b"], 400), (["a", "a"], 400), ([""], 400), (["rco.example"], 202)],
)
async def test_exactly_one_host(edge, hosts, status) -> None:
    headers = [pair for pair in edge.signed() if pair[0] != "Host"]
    answer = await edge.ask(edge.request([*(("Host", host) for host in hosts), *headers]))
    assert answer.status == status
    assert status == 202 or answer.reason == "MALFORMED"


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ("application/json; charset=utf-8", 202),
        ("application/json;charset=UTF-8", 202),
        ('application/json; charset="utf-8"', 202),
        ("Application/JSON", 202),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=utf-8; boundary=x", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("application/jsonp", 415),
        ("", 415),
        (None, 415),
    ],
)
async def test_the_content_type_is_pinned(edge, more, status) -> None:
    headers = [pair for pair in edge.signed() if pair[0] != "Content-Type"]
    answer = await edge.ask(edge.request([*headers, *([] if more is None else [("Content-Type", more)])]))
    assert answer.status == status
    assert status == 202 or answer.reason == "MEDIA_TYPE"


@pytest.mark.parametrize("coding", ["compress", "gzip, x", "x", ""])
async def test_encodings_that_are_not_known(edge, coding) -> None:
    answer = await edge.ask(edge.request([*edge.signed(), ("Content-Encoding", coding)]))
    assert (answer.status, answer.reason) == (415, "MEDIA_TYPE")
    nothing_got_in(edge)


async def test_identity_is_no_encoding(edge) -> None:
    assert (await edge.ask(edge.request([*edge.signed(), ("Content-Encoding", "Identity")]))).status == 202


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"POST\r\n\r\n",
        b"POST /webhooks/acme HTTP/9.9\r\nHost: a\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nHost : a\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nHost: a\r\nX\x80: b\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 10_000,
    ],
)
async def test_bare_junk_is_refused_and_closed(edge, junk) -> None:
    wire = await edge.connect()
    await wire.send(junk)
    wire.writer.write_eof()
    said = await wire.closed()
    assert said == b"" or said.startswith(b"HTTP/1.1 400")
    nothing_got_in(edge)


@pytest.mark.parametrize(("more", "size"), [(70, 1), (2000, 1), (1, 17_000), (1, 100_000), (40, 500)])
async def test_too_many_or_too_large_headers(edge, more, size) -> None:
    wire = await edge.connect()
    await wire.send(edge.request([*edge.signed(), *((f"X-{n}", "a" * size) for n in range(more))]))
    answer = await wire.answer()
    assert answer.status == 431
    assert not answer.body or answer.reason == "HEADER_LIMIT"
    await wire.closed()
    nothing_got_in(edge)


async def test_as_many_headers_as_allowed(edge) -> None:
    headers = edge.signed()
    more = [(f"X-{n}", "a") for n in range(64 - len(headers) - 1)]
    assert (await edge.ask(edge.request([*headers, *more]))).status == 202
    assert (await edge.ask(edge.request([*headers, *more, ("X-A", "a")]))).status == 431


async def test_after_such_a_head_the_connection_is_not_used_again(edge) -> None:
    wire = await edge.connect()
    headers = [*edge.signed(b""), *((f"X-{n}", "a") for n in range(64))]
    await wire.send(edge.request(headers, b"") + edge.request())
    answer = await wire.answer()
    assert (answer.status, answer.header("connection")) == (431, "close")
    assert await wire.closed() == b""
    nothing_got_in(edge)


async def test_a_long_path(edge) -> None:
    wire = await edge.connect()
    await wire.send(edge.request(path="/webhooks/" + "a" * 65_536))
    assert (await wire.answer()).status in (404, 414, 431)
    nothing_got_in(edge)


@pytest.mark.parametrize(
    "more",
    [
        [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")],
        [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ],
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-For", "10.0.0.1")],
    ],
    ids=["h2c", "websocket", "forwarded"],
)
async def test_what_is_ignored(edge, more) -> None:
    answer = await edge.ask(edge.request([*edge.signed(), *more]))
    assert answer.status == 202
    assert answer.header("upgrade") is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 100_000,
        b'{"type":"a","x":NaN}',
        b'{"type":"a","x":1e400}',
        b'{"type":"a","x":' + b"9" * 5000 + b"}",
        b'{"type":"a","type":"b"}',
        b'\xef\xbb\xbf{"type":"a"}',
        '{"type":"a"}'.encode("utf-16"),
        b'{"type":"\xff"}',
        b'{"type":"a","x":"\\ud800"}',
        b'{"type":"a","x":"\\u0000"}',
        b'{"type":"a"} x',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--',
        b"a=b",
    ],
    ids=range(14),
)
async def test_signed_but_not_strict_json(edge, body) -> None:
    answer = await edge.ask(edge.request(edge.signed(body), body))
    assert (answer.status, answer.reason) == (400, "MALFORMED")
    assert edge.decisions[0].reason.startswith("json_")
    nothing_got_in(edge)
