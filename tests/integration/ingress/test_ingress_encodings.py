"""Compressed bodies over raw sockets: signed as they come over the wire, expanded under caps."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable

import brotli
import psutil
import pytest
from backports import zstd

from rco.kit.digest import content_address

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda plain: gzip.compress(plain, mtime=0),
    "deflate": zlib.compress,
    "br": lambda plain: brotli.compress(plain, quality=4),
    "zstd": zstd.compress,
}
PLAIN = b'{"type":"invoice.paid","customer":"Zaphod Beeblebrox"}'
CODING = pytest.mark.parametrize("coding", PACK)


def sent(edge, wire: bytes, coding: str) -> bytes:
    """The request with ``wire`` as its body, signed over exactly that."""
    return edge.request(edge.signed(wire, ("Content-Encoding", coding)), wire)


@CODING
async def test_the_event_is_the_plain_body_and_the_evidence_the_bytes_of_the_wire(edge, coding) -> None:
    wire = PACK[coding](PLAIN)
    assert (await edge.ask(sent(edge, wire, coding))).status == 202
    (delivery,) = edge.deliveries
    assert delivery.event.data == PLAIN
    assert delivery.event.type == "invoice.paid"
    assert delivery.b3 == content_address(wire)


@CODING
async def test_a_signature_over_the_plain_body_is_none(edge, coding) -> None:
    wire = PACK[coding](PLAIN)
    answer = await edge.ask(edge.request(edge.signed(PLAIN, ("Content-Encoding", coding)), wire))
    assert (answer.status, answer.reason) == (401, "UNAUTH")


@CODING
async def test_nothing_is_expanded_before_the_signature_holds(edge, coding, monkeypatch) -> None:
    asked: list[bytes] = []
    monkeypatch.setattr("rco.server.ingress.expander", lambda *_, **__: asked.append)
    wire = PACK[coding](PLAIN)
    headers = [pair for pair in edge.signed(wire, ("Content-Encoding", coding)) if pair[0] != "webhook-signature"]
    answer = await edge.ask(edge.request(headers, wire))
    assert (answer.status, answer.reason, asked) == (401, "UNAUTH", [])


@CODING
async def test_honest_events_that_repeat_themselves(edge, coding) -> None:
    lines = [{"type": "invoice.paid", "number": n, "currency": "EUR", "live": True} for n in range(2000)]
    plain = json.dumps({"type": "batch", "lines": lines}).encode()
    wire = PACK[coding](plain)
    assert len(plain) > 10 * len(wire)
    assert (await edge.ask(sent(edge, wire, coding))).status == 202
    assert edge.deliveries[0].event.data == plain


@CODING
@pytest.mark.parametrize(("padding", "detail"), [(0, ""), (50_000, "decoded_size")])
async def test_bombs(edge, coding, padding, detail) -> None:
    wire = PACK[coding](random.Random(1).randbytes(padding) + bytes(64 << 20))
    await edge.ask(sent(edge, wire, coding))
    resident = psutil.Process().memory_info().rss
    for _ in range(20):
        answer = await edge.ask(sent(edge, wire, coding))
        assert (answer.status, answer.reason) == (400, "DECOMP_LIMIT")
    assert psutil.Process().memory_info().rss - resident < 16 << 20
    assert edge.decisions[0].reason == detail or edge.decisions[0].reason.startswith("decoded_")
    assert edge.deliveries == []
    assert edge.metric('svc_interop_rejected_total{reason="DECOMP_LIMIT"}') == 21
    assert (edge.turnstile.inflight, edge.turnstile.held_bytes) == (0, 0)


@CODING
async def test_the_caps_are_settings(run_edge, coding) -> None:
    wire = PACK[coding](PLAIN + b" " * 200_000)
    tight = await run_edge(decompression={"max_ratio": 2.0})
    assert (await tight.ask(sent(tight, wire, coding))).reason == "DECOMP_LIMIT"
    wide = await run_edge(decompression={"max_ratio": 50_000.0})
    assert (await wide.ask(sent(wide, wire, coding))).status == 202
    small = await run_edge(decompression={"max_ratio": 50_000.0}, provider={"body_limit_bytes": 10_000})
    assert (await small.ask(sent(small, wire, coding))).reason == "DECOMP_LIMIT"


@CODING
async def test_streams_that_are_cut_or_go_on(edge, coding) -> None:
    wire = PACK[coding](PLAIN)
    for bad in (wire[:-1], wire[: len(wire) // 2], wire + b"x", wire + wire, PLAIN, b"\0" * 100):
        answer = await edge.ask(sent(edge, bad, coding))
        assert (answer.status, answer.reason) == (400, "MALFORMED")
    assert edge.deliveries == []


async def test_encodings_one_around_the_other(edge) -> None:
    wire = gzip.compress(gzip.compress(PLAIN))
    answer = await edge.ask(sent(edge, wire, "gzip, gzip"))
    assert (answer.status, answer.reason) == (400, "MALFORMED")
    assert edge.decisions[0].reason == "encoding_nested"


async def test_two_headers_of_it(edge) -> None:
    wire = gzip.compress(PLAIN)
    headers = edge.signed(wire, ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip"))
    answer = await edge.ask(edge.request(headers, wire))
    assert (answer.status, answer.reason) == (400, "MALFORMED")
