"""The examples of RFC 9421, appendix B.2, and requests signed by ``http-message-signatures``."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

from makers.base import BODY, NOW_S, OTHER_SEED, SEED, Headers, bad, case, good, resigned, unauth

KIND = "rfc9421"
PSS_PUBLIC = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----
"""
RFC_BODY = '{"hello": "world"}'
RFC_DIGEST = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
RFC_HEADERS = [
    ["host", "example.com"],
    ["date", "Tue, 20 Apr 2021 02:07:55 GMT"],
    ["content-type", "application/json"],
    ["content-digest", RFC_DIGEST],
    ["content-length", "18"],
]
B22 = (
    (
        'sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss"'
        ';tag="header-example"'
    ),
    (
        "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB"
        "4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl"
        "+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/Xa"
        "Ve4bXTugEjHSw==:"
    ),
)
B23 = (
    (
        'sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length")'
        ';created=1618884473;keyid="test-key-rsa-pss"'
    ),
    (
        "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrC"
        "Ub38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC"
        "1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIz"
        "tsDZKEgM4cUA==:"
    ),
)
URL = "https://hooks.example.com/webhooks/partner"
HMAC_KEY, OTHER_HMAC_KEY = bytes(range(32)), bytes(range(32, 64))
CHANGED = ["signature", "content-digest"]


def _public(seed: str) -> str:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


class _Request:
    """What the library wants to see of a request."""

    def __init__(self, body: str, url: str, headers: dict[str, str]) -> None:
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        self.method, self.url = "POST", url
        self.headers = {"Content-Digest": f"sha-256=:{digest}:", **headers}


def _signed(
    at_s: int = NOW_S,
    body: str = BODY,
    seed: str = SEED,
    url: str = URL,
    components: tuple[str, ...] = ("content-digest", "@method", "@target-uri"),
    key: bytes | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Headers:
    request = _Request(body, url, headers or {})
    private: Any = key if key is not None else Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    algorithm = algorithms.ED25519 if key is None else algorithms.HMAC_SHA256
    signer = HTTPMessageSigner(
        signature_algorithm=algorithm,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={"k": private}),
    )
    more = {"label": "sig1", "include_alg": False, "use_existing_digest": True, **more}
    signer.sign(
        request, key_id="k", created=datetime.fromtimestamp(at_s, UTC), covered_component_ids=components, **more
    )
    return [[name.lower(), value] for name, value in request.headers.items()]


def _with(name: str, value: str) -> Headers:
    return [[header, value if header == name else old] for header, old in _signed()]


def _published(name: str, pair: tuple[str, str], scheme: dict[str, Any]) -> dict[str, Any]:
    return case(
        name,
        KIND,
        now_s=1_618_884_473,
        secret=PSS_PUBLIC,
        other=OTHER_PSS,
        signature_header="signature",
        signed_headers=["signature-input", *CHANGED],
        settings={
            "type": "hello",
            "scheme": {"algorithm": "rsa-pss-sha512", "public_url": "https://example.com/foo?param=Value&Pet=dog"}
            | scheme,
        },
        good=[
            good(
                "as it is published",
                [*RFC_HEADERS, ["signature-input", pair[0]], ["signature", pair[1]]],
                RFC_BODY,
                {"type": "hello", "time_us": 1_618_884_473_000_000, "secret_id": "main"},
            )
            | {"static": True}
        ],
        bad=[
            unauth(
                "another body",
                [*RFC_HEADERS, ["signature-input", pair[0]], ["signature", pair[1]]],
                RFC_BODY.replace("world", "moon!"),
                "sig_mismatch",
            )
        ],
    )


def cases() -> list[dict[str, Any]]:
    right = dict(_signed())
    scheme = {"algorithm": "ed25519", "public_url": URL, "components": ["@method", "@target-uri"]}
    covers = right["signature-input"]
    expected = {"type": "invoice.paid", "time_us": NOW_S * 1_000_000, "secret_id": "main"}
    other_digest = "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"

    def malformed(name: str, header: str, value: str) -> dict[str, Any]:
        return unauth(name, _with(header, value), BODY, "sig_malformed")

    partner = case(
        "partner",
        KIND,
        secret=_public(SEED),
        other=_public(OTHER_SEED),
        signing_keys={"main": SEED, "other": OTHER_SEED},
        signature_header="signature",
        signed_headers=["signature-input", *CHANGED],
        settings={"scheme": scheme},
        good=[
            resigned(good("signed", _signed(), BODY, expected)),
            resigned(
                good("with its algorithm", _signed(include_alg=True), BODY, expected), parameters=';alg="ed25519"'
            ),
        ],
        bad=[
            unauth("no headers at all", [], BODY, "sig_missing"),
            unauth("no input", [pair for pair in _signed() if pair[0] != "signature-input"], BODY, "sig_missing"),
            unauth("another key", _signed(seed=OTHER_SEED), BODY, "sig_mismatch"),
            unauth("another body", _signed(), BODY.replace("4200", "4201"), "sig_mismatch"),
            unauth("another address", _signed(url=URL + "x"), BODY, "sig_mismatch"),
            unauth("another digest", _with("content-digest", other_digest), BODY, "sig_mismatch"),
            unauth("the digest not covered", _signed(components=("@method", "@target-uri")), BODY, "sig_malformed"),
            unauth("the address not covered", _signed(components=("content-digest",)), BODY, "sig_malformed"),
            malformed("another algorithm", "signature-input", covers + ';alg="hmac-sha256"'),
            malformed("two signatures", "signature-input", f"{covers}, sig2={covers[5:]}"),
            malformed("a label that is not there", "signature", right["signature"].replace("sig1", "sig2")),
            malformed("a component twice", "signature-input", covers.replace('("', '("@method" "', 1)),
            malformed("a component that is not known", "signature-input", covers.replace('("', '("@status" "', 1)),
            malformed("a header that is not there", "signature-input", covers.replace('("', '("x-absent" "', 1)),
            malformed("a parameter", "signature-input", covers.replace('"content-digest"', '"content-digest";bs')),
            malformed("no list", "signature-input", "sig1"),
            malformed("an open list", "signature-input", covers.split(")")[0]),
            malformed("no colon", "signature", right["signature"][:-1]),
            malformed("no padding", "signature", right["signature"].replace("=:", ":")),
            malformed("4 KiB of input", "signature-input", covers + ';x="' + "a" * 4096 + '"'),
            malformed("33 components", "signature-input", "sig1=(" + " ".join(f'"x{n}"' for n in range(33)) + ")"),
            unauth("no time", _with("signature-input", covers.split(";created")[0]), BODY, "ts_malformed"),
            resigned(bad("301 s old", _signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301),
            resigned(bad("31 s ahead", _signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"), offset_s=40),
            bad(
                "expired",
                _signed(expires=datetime.fromtimestamp(NOW_S - 1, UTC), at_s=NOW_S - 10),
                BODY,
                "POLICY_BLOCKED",
                403,
                "ts_stale",
            )
            | {"static": True},
            bad("signature twice", [*_signed(), ["signature", "x"]], BODY, "MALFORMED", 400, "header_repeated"),
        ],
    )
    shared = case(
        "partner-hmac",
        KIND,
        secret=base64.b64encode(HMAC_KEY).decode(),
        other=base64.b64encode(OTHER_HMAC_KEY).decode(),
        signature_header="signature",
        signed_headers=["x-id", "signature-input", *CHANGED],
        settings={"scheme": {"algorithm": "hmac-sha256", "public_url": "https://h.example:8443/", "id_header": "X-Id"}},
        good=[
            resigned(
                good(
                    "signed",
                    _signed(
                        key=HMAC_KEY,
                        url="https://h.example:8443/",
                        components=("content-digest", "@authority", "x-id"),
                        headers={"X-Id": "evt_1"},
                    ),
                    BODY,
                    {**expected, "id": "evt_1"},
                ),
                headers={"X-Id": "evt_1"},
            )
        ],
        bad=[
            unauth(
                "another key",
                _signed(
                    key=OTHER_HMAC_KEY,
                    url="https://h.example:8443/",
                    components=("content-digest", "@authority", "x-id"),
                    headers={"X-Id": "evt_1"},
                ),
                BODY,
                "sig_mismatch",
            ),
            unauth(
                "the identity not covered",
                _signed(key=HMAC_KEY, url="https://h.example:8443/", components=("content-digest", "@authority")),
                BODY,
                "sig_malformed",
            ),
        ],
    )
    return [
        _published("rfc-b22", B22, {"components": ["@authority", "@query-param"], "tag": "header-example"}),
        _published("rfc-b23", B23, {"components": ["@method", "@path", "@query", "@authority", "content-type"]}),
        partner,
        shared,
    ]


def _other_pss() -> str:
    from makers.certificates import private

    return private("stranger").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


OTHER_PSS = _other_pss()
