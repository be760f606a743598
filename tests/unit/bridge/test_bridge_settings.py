"""Settings that would prove nothing are refused when they are read, with the key and the cure."""

from __future__ import annotations

import traceback
from typing import Any

import msgspec
import pytest

from rco.bridge.contract import ProviderSettings
from rco.bridge.providers import build_verifier
from rco.bridge.secrets import Secret
from rco.errors import ConfigInvalid

SECRET = "a secret that must not be shown"
WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NOW_US = 1_790_000_000_000_000


def build(kind: str = "hmac", value: str = SECRET, **changed: Any) -> Any:
    settings: dict[str, Any] = {
        "name": "acme",
        "kind": kind,
        "secrets": [{"secret_id": "main", "ref": "env:MAIN"}],
    }
    if kind == "hmac":
        settings["scheme"] = {"signature_header": "X-Sig"}
    found = msgspec.convert({**settings, **changed}, ProviderSettings)
    return build_verifier(found, resolve=lambda _: value.encode(), now_us=NOW_US)


def scheme(**changed: Any) -> dict[str, Any]:
    return {"scheme": {"signature_header": "X-Sig", **changed}}


def secret(**changed: Any) -> dict[str, Any]:
    return {"secrets": [{"secret_id": "main", "ref": "env:MAIN", **changed}]}


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"name": "acme.com"}, "providers"),
        ({"name": "a/b"}, "providers"),
        ({"name": ""}, "providers"),
        ({"kind": "nothing"}, "providers.acme.kind"),
        ({"secrets": []}, "providers.acme.secrets"),
        ({"secrets": [{"secret_id": f"s{n}", "ref": "env:A"} for n in range(9)]}, "providers.acme.secrets"),
        ({"secrets": [{"secret_id": "a", "ref": "env:A"}] * 2}, "providers.acme.secrets"),
        (secret(ref=SECRET), "providers.acme.secrets"),
        (secret(ref="env:"), "providers.acme.secrets"),
        (secret(ref="vault:a"), "providers.acme.secrets"),
        (secret(not_before="tomorrow"), "providers.acme.secrets"),
        (secret(not_before="2026-01-02T00:00:00"), "providers.acme.secrets"),
        (secret(not_before="2027-01-02T00:00:00Z", not_after="2027-01-01T00:00:00Z"), "providers.acme.secrets"),
        (secret(not_before="2027-01-01T00:00:00Z"), "providers.acme.secrets"),
        (secret(not_after="2026-01-01T00:00:00Z"), "providers.acme.secrets"),
        ({"age_limit_s": 301}, "providers.acme.age_limit_s"),
        ({"age_limit_s": 0}, "providers.acme.age_limit_s"),
        ({"skew_limit_s": 300.5}, "providers.acme.skew_limit_s"),
        ({"skew_limit_s": -1}, "providers.acme.skew_limit_s"),
        ({"age_limit_s": float("nan")}, "providers.acme.age_limit_s"),
        ({"bad_signature_status": 410}, "providers.acme.bad_signature_status"),
        ({"bad_signature_status": 200}, "providers.acme.bad_signature_status"),
        ({"body_limit_bytes": 0}, "providers.acme.body_limit_bytes"),
        ({"body_limit_bytes": 1 << 40}, "providers.acme.body_limit_bytes"),
        ({"retry_horizon_s": 0}, "providers.acme.retry_horizon_s"),
        ({"retry_horizon_s": 1e12}, "providers.acme.retry_horizon_s"),
        ({"rate_per_s": 0}, "providers.acme.rate_per_s"),
        ({"burst": 5}, "providers.acme.burst"),
        ({"content_types": []}, "providers.acme.content_types"),
        ({"content_types": ["application/json; charset=utf-8"]}, "providers.acme.content_types"),
        ({"type": ""}, "providers.acme.type"),
        ({"source": "a b"}, "providers.acme.source"),
        ({"subject": ".a"}, "providers.acme.subject"),
        ({"type": "a", "type_header": "X-Type"}, "providers.acme.type_header"),
        ({"scheme": None}, "providers.acme.scheme.signature_header"),
        (scheme(algorithm="sha1"), "providers.acme.scheme.algorithm"),
        (scheme(algorithm="md5"), "providers.acme.scheme.algorithm"),
        (scheme(algorithm="SHA256"), "providers.acme.scheme.algorithm"),
        (scheme(encoding="base32"), "providers.acme.scheme.encoding"),
        (scheme(key_encoding="text"), "providers.acme.scheme.key_encoding"),
        (scheme(prefix="a b"), "providers.acme.scheme.prefix"),
        (scheme(signature_header="X Sig"), "providers.acme.scheme.signature_header"),
        (scheme(signature_header="X-Sig\r\nX-B"), "providers.acme.scheme.signature_header"),
        (scheme(template=""), "providers.acme.scheme.template"),
        (scheme(template="{timestamp}", timestamp_header="X-T"), "providers.acme.scheme.template"),
        (scheme(template="{body}{body}"), "providers.acme.scheme.template"),
        (scheme(template="{body}.{body}"), "providers.acme.scheme.template"),
        (scheme(template="{nonce}.{body}"), "providers.acme.scheme.template"),
        (scheme(template="{id}{body}", id_header="X-Id"), "providers.acme.scheme.template"),
        (scheme(template="{id}x{body}", id_header="X-Id"), "providers.acme.scheme.template"),
        (scheme(template="{body", id_header="X-Id"), "providers.acme.scheme.template"),
        (scheme(template="{id}.{body}"), "providers.acme.scheme.id_header"),
        (scheme(id_header="X-Id"), "providers.acme.scheme.id_header"),
        (scheme(timestamp_header="X-Time"), "providers.acme.scheme.timestamp_header"),
        (scheme(template="{timestamp}.{body}", timestamp_header="x-sig"), "providers.acme.scheme"),
    ],
)
def test_refused_with_its_key(changed: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        build(**changed)
    assert caught.value.key == key
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown


@pytest.mark.parametrize("kind", ["github", "standard-webhooks"])
@pytest.mark.parametrize("changed", [{"scheme": {"signature_header": "X-A"}}, {"type_header": "X-Type"}])
def test_what_belongs_to_hmac_is_refused_elsewhere(kind: str, changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid, match="hmac"):
        build(kind, **changed)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("github", ""),
        ("github", "tooshort"),
        ("hmac", "0123456789abcde"),
        ("standard-webhooks", ""),
        ("standard-webhooks", WHSEC.removeprefix("whsec_")),
        ("standard-webhooks", "whsec_"),
        ("standard-webhooks", "whsec_AAECAwQFBgcICQoLDA0ODw=="),
        ("standard-webhooks", "whsec_" + "A" * 88),
        ("standard-webhooks", "whsec_not base64 at all!"),
        ("standard-webhooks", WHSEC[:-4] + "\n" + WHSEC[-4:]),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_and_not_shown(kind: str, value: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        build(kind, value)
    shown = "".join(traceback.format_exception(caught.value))
    assert "'main'" in shown
    assert not value or value not in shown


def test_a_line_end_after_a_secret_in_a_file_does_not_count() -> None:
    for ref, end in (("file:/run/secret", "\n"), ("file:/run/secret", "\r\n"), ("file:/run/secret", "")):
        build("standard-webhooks", WHSEC + end, **secret(ref=ref))
    with pytest.raises(ConfigInvalid):
        build("standard-webhooks", WHSEC + "\n", **secret(ref="env:MAIN"))


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="tolerance"):
        build(tolerance=5)


def test_a_secret_never_shows_its_key() -> None:
    opened = Secret("main", SECRET.encode())
    assert SECRET not in f"{opened!r} {opened} {[opened]}"
