"""Signed by PyNaCl."""

from __future__ import annotations

import base64
from typing import Any

from nacl.signing import SigningKey

from makers.base import BODY, NOW_S, OTHER_SEED, SEED, Headers, bad, case, good, resigned, unauth

KIND = "ed25519"


def _public(seed: str) -> bytes:
    return bytes(SigningKey(bytes.fromhex(seed)).verify_key)


def _sign(seed: str, text: str) -> bytes:
    return SigningKey(bytes.fromhex(seed)).sign(text.encode()).signature


def _timed(at_s: int = NOW_S, seed: str = SEED, body: str = BODY) -> Headers:
    return [["x-time", str(at_s)], ["x-sig", _sign(seed, f"{at_s}{body}").hex()]]


def cases() -> list[dict[str, Any]]:
    plain = [["x-meter-id", "m1"], ["x-meter", "ed=" + base64.b64encode(_sign(SEED, f"m1|{BODY}")).decode()]]
    keys = {"signing_keys": {"main": SEED, "other": OTHER_SEED}}
    timed = case(
        "meter",
        KIND,
        secret=_public(SEED).hex(),
        other=_public(OTHER_SEED).hex(),
        **keys,
        signature_header="x-sig",
        signed_headers=["x-time", "x-sig"],
        settings={
            "scheme": {"signature_header": "X-Sig", "timestamp_header": "X-Time", "template": "{timestamp}{body}"}
        },
        good=[
            resigned(
                good(
                    "signed",
                    _timed(),
                    BODY,
                    {"type": "invoice.paid", "time_us": NOW_S * 1_000_000, "secret_id": "main"},
                )
            )
        ],
        bad=[
            unauth("no signature", _timed()[:1], BODY, "sig_missing"),
            unauth("another key", _timed(seed=OTHER_SEED), BODY, "sig_mismatch"),
            unauth("upper case", [_timed()[0], ["x-sig", _timed()[1][1].upper()]], BODY, "sig_malformed"),
            resigned(bad("301 s old", _timed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301),
            resigned(
                bad(
                    "a digit moved from the time into the body",
                    [["x-time", str(NOW_S)], ["x-sig", _sign(SEED, f"{NOW_S}1{BODY}").hex()]],
                    "1" + BODY,
                    "MALFORMED",
                    400,
                    "json_invalid",
                )
            ),
        ],
    )
    untimed = case(
        "meter-untimed",
        KIND,
        secret=base64.b64encode(_public(SEED)).decode(),
        other=base64.b64encode(_public(OTHER_SEED)).decode(),
        **keys,
        signature_header="x-meter",
        signed_headers=["x-meter-id", "x-meter"],
        settings={
            "type": "meter.read",
            "scheme": {
                "signature_header": "X-Meter",
                "id_header": "X-Meter-Id",
                "template": "{id}|{body}",
                "encoding": "base64",
                "key_encoding": "base64",
                "prefix": "ed=",
            },
        },
        good=[good("signed", plain, BODY, {"id": "m1", "type": "meter.read"})],
        bad=[
            unauth("no prefix", [plain[0], ["x-meter", plain[1][1][3:]]], BODY, "sig_malformed"),
            unauth("a separator in the id", [["x-meter-id", "m|1"], plain[1]], BODY, "id_malformed"),
        ],
    )
    return [timed, untimed]
