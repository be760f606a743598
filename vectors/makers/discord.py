"""Signed by PyNaCl, verified by Discord's own library."""

from __future__ import annotations

from typing import Any

from discord_interactions import verify_key
from nacl.signing import SigningKey

from makers.base import NOW_S, OTHER_SEED, SEED, Headers, bad, case, good, resigned, unauth

KIND = "discord"
EVENT_SEED = bytes(range(64, 96)).hex()
BODY = '{"type":2,"id":"786008729715212338","data":{"name":"blep"}}'
EVENT = '{"version":1,"application_id":"1","type":1,"event":{"type":"APPLICATION_AUTHORIZED","data":{}}}'


def _public(seed: str) -> str:
    return bytes(SigningKey(bytes.fromhex(seed)).verify_key).hex()


def _signed(at_s: int = NOW_S, body: str = BODY, seed: str = SEED) -> Headers:
    text = SigningKey(bytes.fromhex(seed)).sign(f"{at_s}{body}".encode()).signature.hex()
    assert verify_key(body.encode(), text, str(at_s), _public(seed))
    return [["x-signature-ed25519", text], ["x-signature-timestamp", str(at_s)]]


def cases() -> list[dict[str, Any]]:
    right = _signed()[0][1]
    shared: dict[str, Any] = {
        "secret": _public(SEED),
        "other": _public(OTHER_SEED),
        "signing_keys": {"main": SEED, "other": OTHER_SEED},
        "signature_header": "x-signature-ed25519",
        "signed_headers": ["x-signature-ed25519", "x-signature-timestamp"],
    }

    def with_signature(text: str) -> Headers:
        return [["x-signature-ed25519", text], _signed()[1]]

    def interaction(number: int, name: str, answer: str) -> dict[str, Any]:
        body = f'{{"type":{number},"id":"{number}86008729715212338"}}'
        return resigned(
            good(name, _signed(body=body), body, {"type": f"discord.{name}", "status": 200, "body": answer})
        )

    return [
        case(
            "discord",
            KIND,
            **shared,
            good=[
                resigned(
                    good(
                        "a command",
                        _signed(),
                        BODY,
                        {
                            "id": "786008729715212338",
                            "type": "discord.application_command",
                            "time_us": NOW_S * 1_000_000,
                            "secret_id": "main",
                            "status": 200,
                            "body": '{"type":5}',
                        },
                    )
                ),
                resigned(
                    good(
                        "PING",
                        _signed(body='{"type":1}'),
                        '{"type":1}',
                        {"handshake": "ping", "status": 200, "body": '{"type":1}'},
                    )
                ),
                interaction(3, "message_component", '{"type":6}'),
                interaction(4, "application_command_autocomplete", '{"type":8,"data":{"choices":[]}}'),
                interaction(5, "modal_submit", '{"type":5}'),
            ],
            bad=[
                unauth("no headers at all", [], BODY, "sig_missing"),
                unauth("no time", _signed()[:1], BODY, "sig_missing"),
                unauth("a probe: PING with a bad signature", with_signature("0" * 128), '{"type":1}', "sig_mismatch"),
                unauth("another key", _signed(seed=OTHER_SEED), BODY, "sig_mismatch"),
                unauth("another body", _signed(), BODY.replace("blep", "blop"), "sig_mismatch"),
                unauth("upper case", with_signature(right.upper()), BODY, "sig_malformed"),
                unauth("one digit too few", with_signature(right[:-1]), BODY, "sig_malformed"),
                unauth("half of it", with_signature(right[:64]), BODY, "sig_malformed"),
                unauth("junk", with_signature("zz" * 64), BODY, "sig_malformed"),
                unauth(
                    "time of another request",
                    [_signed()[0], ["x-signature-timestamp", str(NOW_S + 1)]],
                    BODY,
                    "sig_mismatch",
                ),
                unauth("time '-1'", [_signed()[0], ["x-signature-timestamp", "-1"]], BODY, "ts_malformed"),
                resigned(
                    bad("301 s old", _signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301
                ),
                bad("signature twice", [*_signed(), _signed()[0]], BODY, "MALFORMED", 400, "header_repeated"),
                resigned(
                    bad(
                        "a type that is not known",
                        _signed(body='{"type":99}'),
                        '{"type":99}',
                        "MALFORMED",
                        400,
                        "type_malformed",
                    )
                ),
            ],
        ),
        case(
            "discord-events",
            KIND,
            **{
                **shared,
                "secret": _public(EVENT_SEED),
                "signing_keys": {"main": EVENT_SEED, "other": OTHER_SEED},
            },
            settings={"scheme": {"surface": "events"}},
            good=[
                resigned(
                    good(
                        "an event",
                        _signed(body=EVENT, seed=EVENT_SEED),
                        EVENT,
                        {"type": "discord.application_authorized", "status": 204, "body": ""},
                    )
                ),
                resigned(
                    good(
                        "PING",
                        _signed(body='{"type":0}', seed=EVENT_SEED),
                        '{"type":0}',
                        {"handshake": "ping", "status": 204, "body": ""},
                    )
                ),
            ],
            bad=[unauth("another key", _signed(body=EVENT, seed=OTHER_SEED), EVENT, "sig_mismatch")],
        ),
    ]
