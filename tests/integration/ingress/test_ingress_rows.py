"""The bad inputs that the field's study counts, one by one, for every kind of sender and over raw sockets.

Its rows are numbered; those that are not here are tested beside what they are about.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rco.bridge.certificates import Certificates
from rco.bridge.contract import ProviderSettings
from rco.bridge.kind import Signing
from rco.bridge.providers import CATALOGUE
from rco.kit.clock import iso

VECTORS = Path(__file__).parents[3] / "vectors"
CASES = [case for path in sorted(VECTORS.glob("*.json")) for case in json.loads(path.read_text())["cases"]]
CASES = [case for case in CASES if case["good"] and not case["good"][0].get("static")]
KEY = b"0123456789abcdef0123456789abcdef"
HOST, JSON = ("Host", "rco.example"), ("Content-Type", "application/json")


def named(case: dict[str, Any]) -> str:
    return case["settings"]["name"]


class Asked:
    """A place for certificates that remembers what it was asked."""

    def __init__(self, served: dict[str, str]) -> None:
        self.served, self.urls = served, list[str]()

    async def __call__(self, url: str, limit_bytes: int) -> tuple[int, bytes]:
        self.urls.append(url)
        return (200, self.served[url].encode()) if url in self.served else (404, b"")


async def edge_for(run_edge: Any, case: dict[str, Any], asked: Asked | None = None, **changed: Any) -> Any:
    settings = msgspec.convert({**case["settings"], **changed}, ProviderSettings)
    roots = [_der(pem) for pem in case.get("roots", [])]
    asked = asked or Asked(case.get("certificates", {}))
    return await run_edge(
        only=[settings], secrets=case["secrets"], certificates=Certificates(asked, roots=lambda: roots)
    )


def _der(pem: str) -> bytes:
    return base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-")))


def signed_now(
    edge: Any, case: dict[str, Any], which: int = 0, offset_s: float = 0.0, encoding: str = "utf-8"
) -> tuple[list[Any], bytes]:
    """A good request of this provider, signed for the present, or as it stands where no time is signed."""
    vector = case["good"][which]
    kind = CATALOGUE[case["settings"]["kind"]]
    headers = [(name, value) for name, value in vector["headers"]]
    body = vector["body"].encode(encoding)
    if "sign" in vector and kind.sign is not None:
        options = vector["sign"].get("options", {})
        made, body = kind.sign(
            Signing(
                settings=msgspec.convert(case["settings"], ProviderSettings),
                secret=case.get("signing_keys", {}).get("main") or case["secrets"]["env:MAIN"],
                body=body,
                at_us=edge.clock.now_us() + round(offset_s * 1e6),
                options=options,
            )
        )
        own = {name.lower() for name, _ in made}
        headers = [*((name, value) for name, value in headers if name.lower() not in own), *made]
    there = {name.lower() for name, _ in headers}
    media = ("Content-Type", CATALOGUE[case["settings"]["kind"]].content_types[0])
    return [HOST, *headers, *([media] if "content-type" not in there else [])], body


def request(edge: Any, case: dict[str, Any], headers: list[Any], body: bytes) -> bytes:
    return edge.request(headers, body, path=f"/webhooks/{named(case)}")


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_row_1_no_signature(run_edge, case) -> None:
    asked = Asked({})
    edge = await edge_for(run_edge, case, asked)
    headers, body = signed_now(edge, case)
    drop = (case["signature_header"] or "").lower()
    headers = [pair for pair in headers if pair[0].lower() != drop]
    if not drop:
        fields = json.loads(body)
        body = json.dumps({name: value for name, value in fields.items() if name != "Signature"}).encode()
    for sent in (body, b"", b"{" if drop else b'{"Type":"Notification"}'):
        answer = await edge.ask(request(edge, case, headers, sent))
        if not drop and sent == b"":
            # Where the signature stands in the body, no body is no JSON.
            assert (answer.status, answer.reason) == (400, "MALFORMED")
            continue
        assert (answer.status, answer.reason) == (case["settings"].get("bad_signature_status", 401), "UNAUTH")
    assert edge.deliveries == []
    assert asked.urls == []
    assert {decision.reason for decision in edge.decisions} <= {"sig_missing", "json_invalid"}


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_row_2_another_tenant_s_signature(run_edge, case) -> None:
    if not case["other_secret"]:
        return await _another_topic(run_edge, case)
    edge = await edge_for(run_edge, {**case, "secrets": dict.fromkeys(case["secrets"], case["other_secret"])})
    headers, body = signed_now(edge, case)
    answer = await edge.ask(request(edge, case, headers, body))
    assert answer.reason == "UNAUTH"
    assert edge.deliveries == []
    return None


async def _another_topic(run_edge: Any, case: dict[str, Any]) -> None:
    scheme = {"topics": ["arn:aws:sns:us-west-2:123456789012:another"]}
    edge = await edge_for(run_edge, case, scheme=scheme)
    answer = await edge.ask(request(edge, case, *signed_now(edge, case)))
    assert (answer.status, edge.decisions[0].reason) == (401, "topic_unknown")


@pytest.mark.parametrize("count", [17, 200, 10_000])
async def test_row_4_many_signatures(edge, count) -> None:
    headers = [pair for pair in edge.signed() if pair[0] != "webhook-signature"]
    text = " ".join(["v1," + "A" * 43 + "="] * count)
    wire = await edge.connect()
    await wire.send(edge.request([*headers, ("webhook-signature", text)]))
    answer = await wire.answer()
    assert answer.status in (401, 431)
    assert edge.deliveries == []


@pytest.mark.parametrize("case", [case for case in CASES if case["other_secret"]], ids=named)
async def test_row_6_the_old_secret_within_and_after_its_grace(run_edge, case) -> None:
    now_us = 0
    for grace_s, accepted in ((60, True), (-60, False)):
        edge = await run_edge(only=[], secrets={})
        now_us = edge.clock.now_us()
        # Both texts are good secrets; the request is signed with the first.
        old = {"secret_id": "old", "ref": "env:OLD", "not_after": iso(now_us + grace_s * 1_000_000)}
        new = {"secret_id": "new", "ref": "env:NEW"}
        renewed = {
            **case,
            "settings": {**case["settings"], "secrets": [old, new]},
            "secrets": {"env:OLD": case["secrets"]["env:MAIN"], "env:NEW": case["other_secret"]},
        }
        edge = await edge_for(run_edge, renewed)
        answer = await edge.ask(request(edge, case, *signed_now(edge, case)))
        assert (answer.status < 300) is accepted
        label = f'provider="{named(case)}",secret_id="old"'
        assert edge.metric(f"svc_interop_secret_matched_total{{{label}}}") == (1.0 if accepted else 0.0)
        assert edge.metric(f'svc_interop_secret_matched_total{{provider="{named(case)}",secret_id="new"}}') == 0.0


TIMED = [case for case in CASES if "sign" in case["good"][0] and not case.get("certificates")]


@pytest.mark.parametrize(("offset_s", "detail"), [(-302, "ts_stale"), (40, "ts_future"), (-290, ""), (29, "")])
@pytest.mark.parametrize("case", TIMED, ids=named)
async def test_row_7_a_time_outside_of_the_window(run_edge, case, offset_s, detail) -> None:
    edge = await edge_for(run_edge, case)
    answer = await edge.ask(request(edge, case, *signed_now(edge, case, offset_s=offset_s)))
    if detail:
        assert (answer.status, answer.reason) == (403, "POLICY_BLOCKED")
        assert edge.decisions[0].reason == detail
        assert edge.deliveries == []
    else:
        assert answer.status < 300


@pytest.mark.parametrize("text", ["1e9", "nan", "-1", "1700000000.5", "١٧٠٠٠٠٠٠٠٠", ""])  # noqa: RUF001
@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("slack", "x-slack-request-timestamp"),
        ("discord", "x-signature-timestamp"),
        ("sendgrid", "x-twilio-email-event-webhook-timestamp"),
        ("acme", "webhook-timestamp"),
        ("gitlab", "webhook-timestamp"),
        ("paypal", "paypal-transmission-time"),
    ],
)
async def test_row_7_what_is_no_time(run_edge, name, header, text) -> None:
    case = next(case for case in CASES if named(case) == name)
    edge = await edge_for(run_edge, case)
    headers, body = signed_now(edge, case)
    changed = [(key, text if key.lower() == header else value) for key, value in headers]
    raw = request(edge, case, [(key, value) for key, value in changed if value.isascii()], body)
    if not text.isascii():
        raw = raw.replace(b"\r\n\r\n", b"\r\n" + header.encode() + b": " + text.encode() + b"\r\n\r\n", 1)
    answer = await edge.ask(raw)
    assert (answer.status, answer.reason) == (401, "UNAUTH")
    assert edge.decisions[0].reason in ("ts_malformed", "sig_missing")


async def test_row_7_milliseconds_and_two_times(run_edge) -> None:
    case = next(case for case in CASES if named(case) == "stripe")
    edge = await edge_for(run_edge, case)
    headers, body = signed_now(edge, case)
    text = dict(headers)["Stripe-Signature"]
    stamp = str(edge.clock.now_us() // 1000)
    digest = hmac.digest(case["secrets"]["env:MAIN"].encode(), f"{stamp}.".encode() + body, "sha256").hex()
    for changed, status in ((f"t=1,{text}", 401), (f"{text},t=9999999999", 401), (f"t={stamp},v1={digest}", 403)):
        sent = [(name, changed if name == "Stripe-Signature" else value) for name, value in headers]
        assert (await edge.ask(request(edge, case, sent, body))).status == status
    assert edge.deliveries == []


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_rows_8_to_10_a_repeat_has_one_claim_whatever_is_edited(run_edge, case) -> None:
    edge = await edge_for(run_edge, case)
    headers, body = signed_now(edge, case)
    covered = {name.lower() for name in case["signed_headers"]} | {"content-type", "host"}
    edited = [
        (name, value if name.lower() in covered else "1e8400e2-2f3a-11ee-be56-0242ac120002") for name, value in headers
    ]
    raw = request(edge, case, headers, body)
    answers = await asyncio.gather(*(edge.ask(raw) for _ in range(20)))
    assert {answer.status for answer in answers} == {answers[0].status}
    assert answers[0].status < 300
    await edge.ask(request(edge, case, edited, body))
    assert len({delivery.claim for delivery in edge.deliveries}) == 1


@pytest.mark.parametrize("case", [case for case in CASES if case["signature_header"]], ids=named)
async def test_row_11_the_signature_twice(run_edge, case) -> None:
    edge = await edge_for(run_edge, case)
    headers, body = signed_now(edge, case)
    (pair,) = [pair for pair in headers if pair[0].lower() == case["signature_header"]]
    for second in (pair, (pair[0].upper(), "x")):
        for doubled in ([*headers, second], [second, *headers]):
            answer = await edge.ask(request(edge, case, doubled, body))
            assert (answer.status, answer.reason) == (400, "MALFORMED")
    assert edge.deliveries == []


@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 5\r\n",
    ],
)
async def test_row_16_framing_that_two_readers_could_read_differently(edge, lines) -> None:
    head = edge.request(length=False, body=b"")
    hidden = edge.request()
    wire = await edge.connect()
    await wire.send(head[:-2] + lines + b"\r\n0\r\n\r\n" + hidden)
    wire.writer.write_eof()
    answer = await wire.answer()
    assert answer.status == 400
    assert await wire.closed() == b""
    assert edge.deliveries == []


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/webhooks/acme", "http://rco.example/webhooks/acme", "//evil.example/webhooks/acme", "*"],
)
async def test_row_18_a_target_that_names_another_host(edge, target) -> None:
    """The server takes the host of a target away before anybody can see it, so it counts for nothing: routes and
    signatures are the same for all. What does not lead to a route is told so."""
    answer = await edge.ask(edge.request(path=target))
    if target.startswith("http:"):
        assert answer.status in (202, 400, 404)
    else:
        assert answer.status in (400, 404)
    assert {delivery.provider for delivery in edge.deliveries} <= {"acme"}


@pytest.mark.parametrize("case", [case for case in CASES if not case.get("bearer")], ids=named)
async def test_row_23_another_media_type(run_edge, case) -> None:
    edge = await edge_for(run_edge, case)
    headers, body = signed_now(edge, case)
    rest = [pair for pair in headers if pair[0].lower() != "content-type"]
    for media in ("multipart/form-data; boundary=x", "application/xml", "application/x-ndjson"):
        answer = await edge.ask(request(edge, case, [*rest, ("Content-Type", media)], body))
        assert (answer.status, answer.reason) == (415, "MEDIA_TYPE")
    assert edge.deliveries == []


@pytest.mark.parametrize("case", TIMED, ids=named)
async def test_rows_13_to_15_compressed_by_every_kind_that_can_be(run_edge, case) -> None:
    edge = await edge_for(run_edge, case)
    vector = case["good"][0]
    packed = {**case, "good": [{**vector, "body": gzip.compress(vector["body"].encode()).decode("latin-1")}]}
    headers, body = signed_now(edge, packed, encoding="latin-1")
    sent = [*headers, ("Content-Encoding", "gzip")]
    answer = await edge.ask(request(edge, case, sent, body))
    assert answer.status < 300
    as_it_is = await edge_for(run_edge, case)
    await as_it_is.ask(request(as_it_is, case, *signed_now(as_it_is, case)))
    assert [one.event.data for one in edge.deliveries] == [one.event.data for one in as_it_is.deliveries]
    bomb = {**case, "good": [{**vector, "body": gzip.compress(bytes(8 << 20)).decode("latin-1")}]}
    headers, body = signed_now(edge, bomb, encoding="latin-1")
    answer = await edge.ask(request(edge, case, [*headers, ("Content-Encoding", "gzip")], body))
    assert (answer.status, answer.reason) == (400, "DECOMP_LIMIT")


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["settings"]["kind"] in ("twilio", "aws-sns")], ids=named
)
async def test_row_15_kinds_that_sign_parts_of_the_plain_body_take_none(run_edge, case) -> None:
    edge = await edge_for(run_edge, case)
    headers, body = signed_now(edge, case)
    answer = await edge.ask(request(edge, case, [*headers, ("Content-Encoding", "gzip")], gzip.compress(body)))
    assert (answer.status, answer.reason) == (415, "MEDIA_TYPE")


FORWARDED = [
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "evil.example"),
    ("Forwarded", "host=evil.example;proto=http"),
    ("X-Original-URL", "/webhooks/other"),
]


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_row_25_what_a_stranger_says_of_the_way_here(run_edge, case) -> None:
    edge = await edge_for(run_edge, case)
    headers, body = signed_now(edge, case)
    answer = await edge.ask(request(edge, case, [*headers, *FORWARDED], body))
    assert answer.status < 300


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_row_31_trouble_of_ours_is_told_with_the_time_to_wait(run_edge, case) -> None:
    edge = await edge_for(run_edge, case, rate_per_s=0.01, burst=1)
    raw = request(edge, case, *signed_now(edge, case))
    assert (await edge.ask(raw)).status < 300
    answer = await edge.ask(raw)
    assert (answer.status, answer.reason) == (429, "RATE_LIMIT")
    assert int(answer.header("retry-after")) >= 1


@pytest.mark.parametrize("sent", ["a\tb", "x" * 10_000, "é", "<script>"])
@pytest.mark.parametrize("case", CASES[:3], ids=named)
async def test_row_40_a_correlation_id_that_is_none_is_replaced(run_edge, case, sent) -> None:
    edge = await edge_for(run_edge, case)
    headers, body = signed_now(edge, case)
    raw = request(edge, case, headers, body)
    raw = raw.replace(b"\r\n", b"\r\nX-Corr-ID: " + sent.encode() + b"\r\n", 1)
    answer = await edge.ask(raw)
    assert sent not in (answer.header("x-corr-id") or "")
    assert sent.encode() not in answer.body
