"""Any sender that signs with ed25519 (RFC 8032), as pure configuration. Only the public key is here, so who reads it
cannot sign."""

from __future__ import annotations

from rco.bridge.contract import ProviderSettings
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because
from rco.bridge.private_keys import ed25519_private
from rco.bridge.public_keys import (
    ED25519_KEY_BYTES,
    ED25519_SIGNATURE_BYTES,
    decode_signature,
    ed25519_keys,
    matching_key,
)
from rco.bridge.rules import key_of, read_scheme
from rco.bridge.secrets import Opened, open_base64, open_hex
from rco.bridge.signature import unauth
from rco.bridge.template import SCHEME_KEYS, Template, TemplateScheme, signs_time
from rco.errors import ConfigInvalid

__all__ = ["KIND", "Ed25519Scheme"]

_OPEN = {"hex": open_hex, "base64": open_base64}


class Ed25519Scheme(TemplateScheme, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signature scheme of one provider."""

    key_encoding: str = "hex"
    """How the public key is written: ``hex`` or ``base64``."""


def _scheme(settings: ProviderSettings) -> Ed25519Scheme:
    scheme = read_scheme(settings, Ed25519Scheme)
    if scheme.key_encoding not in _OPEN:
        raise ConfigInvalid(
            f"{scheme.key_encoding!r} is not one of {', '.join(_OPEN)}", key=key_of(settings, "scheme", "key_encoding")
        )
    return scheme


def _key_from(settings: ProviderSettings) -> Opened:
    opened = _OPEN[_scheme(settings).key_encoding]

    def key_from(text: bytes) -> bytes:
        key = opened(text)
        if len(key) != ED25519_KEY_BYTES:
            raise ValueError(f"it has {len(key)} bytes; an ed25519 public key has {ED25519_KEY_BYTES}")
        return key

    return key_from


def build(materials: Materials) -> Template:
    """The verifier of one provider. Raises ``ConfigInvalid`` for a scheme that would not prove anything."""
    scheme = _scheme(materials.settings)
    keys, base64 = ed25519_keys(materials.secrets), scheme.encoding == "base64"

    def prove(now_us: int, signed: tuple[bytes, ...], candidate: bytes, status: int) -> str:
        signature = decode_signature(candidate, base64)
        if signature is None:
            raise unauth("sig_malformed", status)
        return matching_key(keys, now_us, b"".join(signed), (signature,), status)

    return Template(materials, scheme, sig_alg="ed25519:ed25519", signature_bytes=ED25519_SIGNATURE_BYTES, prove=prove)


def sign(signing: Signing) -> Signed:
    """Headers as such a sender would set them; the secret is the private key."""
    template = build(Materials(settings=signing.settings))
    headers = template.signed_by(
        _scheme(signing.settings),
        signing.body,
        signing.at_us,
        str(signing.options.get("id", "msg_1")),
        ed25519_private(signing.secret).sign,
    )
    return headers, signing.body


KIND = Kind(
    name="ed25519",
    signs_time=signs_time,
    about=About(
        title="Any sender that signs with ed25519",
        url="https://www.rfc-editor.org/rfc/rfc8032",
        headers=("as configured",),
        signed="as configured, e.g. `{timestamp}{body}`",
        algorithm="ed25519",
        credential="the sender's public key, 32 bytes in hexadecimal or base64",
        type="the body's `type_field`, or `type_header`, or a fixed `type`",
        dedupe="the signed identity, or the signed bytes",
        time="where the template holds `{timestamp}`",
        example="""\
meter:
  kind: ed25519
  secrets: [{secret_id: meter-1, ref: "env:METER_PUBLIC_KEY"}]
  type: meter.read
  scheme:
    signature_header: X-Meter-Signature
    timestamp_header: X-Meter-Time
    template: "{timestamp}.{body}"
""",
        scheme=tuple(
            (key, text.replace("the secret is written: `raw`, `hex`", "the public key is written: `hex`"))
            for key, text in SCHEME_KEYS
        ),
        traps=("The key is public, yet who can change it can let anybody in: keep its reference like a secret's.",),
    ),
    build=build,
    whole=because("ed25519 reads what is signed twice"),
    key_from=_key_from,
    sign=sign,
)
