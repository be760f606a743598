"""A body that passes in pieces is proven as one that is held: the same secret, the same claim, the same refusals."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rco.bridge.contract import ProviderSettings, SecretRef
from rco.bridge.passing import Kept, LargeVerifier
from rco.bridge.providers import CATALOGUE, build_verifier, check_provider
from rco.errors import ConfigInvalid, Refused
from rco.kit.digest import content_address
from rco.model.delivery import Delivery

KEY = b"0123456789abcdef0123456789abcdef"
OTHER = b"fedcba9876543210fedcba9876543210"
NOW_US = 1_790_000_000_000_000
STAMP = str(NOW_US // 1_000_000)
UUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
Headers = list[tuple[bytes, bytes]]


def _hex(data: bytes, key: bytes = KEY) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _b64(data: bytes, key: bytes = KEY) -> str:
    return base64.b64encode(hmac.new(key, data, hashlib.sha256).digest()).decode()


def _github(body: bytes) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={_hex(body)}", "x-github-event": "push", "x-github-delivery": UUID}


def _shopify(body: bytes) -> dict[str, str]:
    return {"x-shopify-hmac-sha256": _b64(body), "x-shopify-topic": "orders/create", "x-shopify-webhook-id": UUID}


def _standard(body: bytes) -> dict[str, str]:
    signature = _b64(b"msg_1." + STAMP.encode() + b"." + body)
    return {"webhook-id": "msg_1", "webhook-timestamp": STAMP, "webhook-signature": f"v1,{signature}"}


def _plain(body: bytes) -> dict[str, str]:
    return {"x-sig": _hex(body), "x-kind": "weighed"}


def _wrapped(body: bytes) -> dict[str, str]:
    return {"x-sig": _b64(b"v0:" + STAMP.encode() + b":" + body + b":end"), "x-time": STAMP}


def _identified(body: bytes) -> dict[str, str]:
    return {"x-sig": _hex(b"id-1." + body), "x-id": "id-1"}


SCHEME = {"signature_header": "X-Sig"}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "github": (_github, {"kind": "github"}),
    "shopify": (_shopify, {"kind": "shopify"}),
    "standard": (_standard, {"kind": "standard-webhooks", "type": "big.one"}),
    "plain": (_plain, {"kind": "hmac", "scheme": SCHEME, "type_header": "X-Kind"}),
    "wrapped": (
        _wrapped,
        {
            "kind": "hmac",
            "type": "big.one",
            "scheme": {
                **SCHEME,
                "template": "v0:{timestamp}:{body}:end",
                "timestamp_header": "X-Time",
                "encoding": "base64",
            },
        },
    ),
    "identified": (
        _identified,
        {"kind": "hmac", "type": "big.one", "scheme": {**SCHEME, "template": "{id}.{body}", "id_header": "X-Id"}},
    ),
}


def build(one: str, keys: dict[str, bytes] | None = None, now_us: int = NOW_US, **changed: Any) -> Any:
    keys = keys or {"main": KEY}
    known = {"name": "acme", "large_body_limit_bytes": 25 << 20, **CASES[one][1], **changed}
    settings = ProviderSettings(
        secrets=[SecretRef(secret_id=name, ref=f"env:{name.upper()}") for name in keys], **known
    )
    whsec = settings.kind == "standard-webhooks"

    def resolve(ref: str) -> bytes:
        key = keys[ref.removeprefix("env:").lower()]
        return b"whsec_" + base64.b64encode(key) if whsec else key

    return build_verifier(settings, resolve=resolve, now_us=now_us)


def wire(headers: dict[str, str]) -> Headers:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def passed(
    verifier: Any, headers: Headers, body: bytes, cuts: list[int], now_us: int = NOW_US, announced: int | None = None
) -> Delivery:
    proof = cast("LargeVerifier", verifier).begin(headers, len(body) if announced is None else announced, now_us, "c1")
    at = 0
    for cut in [*sorted(cut % (len(body) + 1) for cut in cuts), len(body)]:
        proof.add(body[at:cut])
        at = cut
    return proof.delivery(Kept(content_address(body), len(body), "application/json"))


@pytest.mark.parametrize("one", CASES)
@given(
    pad=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=50),
    cuts=st.lists(st.integers(0, 10_000), max_size=6),
)
def test_whatever_the_pieces_it_is_the_delivery_that_holding_it_gives(one: str, pad: str, cuts: list[int]) -> None:
    body = json.dumps({"pad": pad, "action": "opened"}).encode()
    headers = wire(CASES[one][0](body))
    verifier = build(one)
    held = verifier.verify(headers, body, NOW_US, "c1")
    found = passed(verifier, headers, body, cuts)
    data = {"dataref": {"address": content_address(body), "size_bytes": len(body), "content_type": "application/json"}}
    assert json.loads(found.event.data) == data
    same = msgspec.structs.replace(
        found,
        event=msgspec.structs.replace(
            found.event,
            data=held.event.data,
            # The only thing that the body would have said: which action it was.
            type=held.event.type if one == "github" else found.event.type,
        ),
        # What is known of data that are held.
        data_b3=held.data_b3,
        value=held.value,
    )
    assert same == held
    if one == "github":
        assert (found.event.type, held.event.type) == ("github.push", "github.push.opened")


@pytest.mark.parametrize("one", CASES)
def test_without_its_length_it_is_the_same_delivery(one: str) -> None:
    body = b'{"n": 1}' * 100
    headers = wire(CASES[one][0](body))
    verifier = build(one)
    kept = Kept(content_address(body), len(body), "application/json")
    proof = cast("LargeVerifier", verifier).begin(headers, None, NOW_US, "c1")
    for piece in (body[:7], body[7:]):
        proof.add(piece)
    proof.prove()
    if proof.uncounted:
        # Read once more, in whatever pieces, now that it is known how long it is.
        proof.count(len(body))
        for at in range(0, len(body), 13):
            proof.recount(body[at : at + 13])
    assert proof.delivery(kept) == passed(verifier, headers, body, [3])
    other = cast("LargeVerifier", verifier).begin(headers, None, NOW_US, "c1")
    other.add(body + b" ")
    with pytest.raises(Refused) as raised:
        other.prove()
    assert raised.value.detail == "sig_mismatch"


@pytest.mark.parametrize("one", CASES)
def test_every_bit_counts_and_so_does_every_byte_more_or_less(one: str) -> None:
    body = b'{"n": 1}'
    headers = wire(CASES[one][0](body))
    verifier = build(one)
    for at in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(Refused) as raised:
            passed(verifier, headers, bytes(flipped), [3])
        assert (raised.value.status, raised.value.detail) == (401, "sig_mismatch")
    for other in (body[:-1], body + b" ", b"", body[1:], body + body):
        with pytest.raises(Refused) as raised:
            passed(verifier, headers, other, [])
        assert raised.value.detail == "sig_mismatch"
        with pytest.raises(Refused) as raised:
            passed(verifier, headers, other, [], announced=len(body))
        assert raised.value.detail == "body_length" or len(other) == len(body)


@pytest.mark.parametrize("one", CASES)
def test_a_head_without_a_signature_is_refused_before_the_body(one: str) -> None:
    good = CASES[one][0](b"{}")
    name = next(name for name in good if "sig" in name or "hmac" in name)
    for headers, detail in (
        ({key: value for key, value in good.items() if key != name}, "sig_missing"),
        ({**good, name: "x"}, "sig_malformed"),
        ({**good, name: good[name][:-1]}, "sig_malformed"),
    ):
        with pytest.raises(Refused) as raised:
            build(one).begin(wire(headers), 2, NOW_US, "c1")
        assert (raised.value.status, raised.value.detail) == (401, detail)
    with pytest.raises(Refused) as raised:
        build(one).begin([*wire(good), *wire({name: good[name]})], 2, NOW_US, "c1")
    assert raised.value.detail == "header_repeated"


@pytest.mark.parametrize("one", CASES)
def test_any_of_several_secrets_and_none_that_is_over(one: str) -> None:
    body = b"{}"
    headers = wire(CASES[one][0](body))
    assert passed(build(one, {"old": OTHER, "new": KEY}), headers, body, []).secret_id == "new"
    assert passed(build(one, {"a": KEY, "b": KEY}), headers, body, []).secret_id == "a"
    with pytest.raises(Refused) as raised:
        passed(build(one, {"old": OTHER}), headers, body, [])
    assert raised.value.detail == "sig_mismatch"
    verifier = build(one)
    settings_end = NOW_US + 1_000_000
    limited = ProviderSettings(
        name="acme",
        large_body_limit_bytes=25 << 20,
        secrets=[SecretRef(secret_id="main", ref="env:MAIN", not_after="2026-09-21T13:33:20Z")],
        **CASES[one][1],
    )
    whsec = limited.kind == "standard-webhooks"
    text = b"whsec_" + base64.b64encode(KEY) if whsec else KEY
    early = build_verifier(limited, resolve=lambda _: text, now_us=NOW_US - 3_600_000_000)
    with pytest.raises(Refused) as raised:
        cast("LargeVerifier", early).begin(headers, 2, settings_end + 3_600_000_000, "c1")
    assert raised.value.detail == "no_active_secret"
    assert verifier is not early


@pytest.mark.parametrize("one", ["standard", "wrapped"])
def test_the_time_is_looked_at_once_the_signature_holds(one: str) -> None:
    body = b"{}"
    headers = wire(CASES[one][0](body))
    for later_s, detail in ((301, "ts_stale"), (-31, "ts_future")):
        with pytest.raises(Refused) as raised:
            passed(build(one), headers, body, [], now_us=NOW_US + later_s * 1_000_000)
        assert (raised.value.status, raised.value.detail) == (403, detail)
        with pytest.raises(Refused) as raised:
            passed(build(one), headers, b"[]", [], now_us=NOW_US + later_s * 1_000_000)
        assert raised.value.detail == "sig_mismatch"


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_a_kind_that_needs_the_whole_body_says_why_at_the_configuration(kind: str) -> None:
    about = CATALOGUE[kind]
    secrets = [SecretRef(secret_id="main", ref="env:MAIN")] if about.key_from is not None else []
    settings = ProviderSettings(name="acme", kind=kind, secrets=secrets, large_body_limit_bytes=25 << 20)
    streaming = {"github", "shopify"}
    if kind in streaming:
        check_provider(settings)
        return
    with pytest.raises(ConfigInvalid) as raised:
        check_provider(settings)
    assert raised.value.key == "providers.acme.large_body_limit_bytes"
    assert f"kind {kind} needs the whole body: " in raised.value.message
    assert len(raised.value.message.partition("body: ")[2]) > 20
    assert raised.value.cure


def test_what_cannot_go_with_it() -> None:
    for changed, said in (
        ({"subject": ".a"}, "subject"),
        ({"large_body_limit_bytes": 1 << 20}, "not above body_limit"),
        ({"large_body_limit_bytes": 2 << 30}, "not above body_limit"),
    ):
        with pytest.raises(ConfigInvalid) as raised:
            build("github", **changed)
        assert said in raised.value.message
    public = base64.b64encode(bytes(32))
    settings = ProviderSettings(
        name="acme",
        kind="standard-webhooks",
        type="big.one",
        secrets=[SecretRef(secret_id="main", ref="env:MAIN")],
        large_body_limit_bytes=25 << 20,
    )
    with pytest.raises(ConfigInvalid, match="public key"):
        build_verifier(settings, resolve=lambda _: b"whpk_" + public, now_us=NOW_US)
