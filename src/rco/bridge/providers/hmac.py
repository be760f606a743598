"""Any sender that signs with HMAC, as pure configuration: headers, what is signed, algorithm, encoding."""

from __future__ import annotations

import hmac

from rco.bridge.contract import ProviderSettings
from rco.bridge.kind import About, Kind, Materials, Signed, Signing
from rco.bridge.rules import key_of, read_scheme
from rco.bridge.secrets import Opened
from rco.bridge.signature import matching_secret, signers
from rco.bridge.template import ENCODE, OPEN, SCHEME_KEYS, Template, TemplateScheme, signs_time
from rco.errors import ConfigInvalid

__all__ = ["KIND", "HmacScheme"]

KEY_MIN_BYTES = 16
DIGEST_BYTES = {"sha256": 32, "sha384": 48, "sha512": 64}


class HmacScheme(TemplateScheme, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signature scheme of one provider."""

    algorithm: str = "sha256"
    """``sha256``, ``sha384`` or ``sha512``."""
    key_encoding: str = "raw"
    """How the secret is written: ``raw``, ``hex`` or ``base64``."""


def _scheme(settings: ProviderSettings) -> HmacScheme:
    scheme = read_scheme(settings, HmacScheme)
    if scheme.algorithm not in DIGEST_BYTES:
        raise ConfigInvalid(
            f"algorithm {scheme.algorithm!r} is not accepted",
            cure="Use sha256, sha384 or sha512; MD5 and SHA-1 no longer prove anything.",
            key=key_of(settings, "scheme", "algorithm"),
        )
    if scheme.key_encoding not in OPEN:
        raise ConfigInvalid(
            f"{scheme.key_encoding!r} is not one of {', '.join(OPEN)}", key=key_of(settings, "scheme", "key_encoding")
        )
    return scheme


def _key_from(settings: ProviderSettings) -> Opened:
    opened = OPEN[_scheme(settings).key_encoding]

    def key_from(text: bytes) -> bytes:
        key = opened(text)
        if len(key) < KEY_MIN_BYTES:
            raise ValueError(f"it has {len(key)} bytes; use at least {KEY_MIN_BYTES}")
        return key

    return key_from


def build(materials: Materials) -> Template:
    """The verifier of one provider. Raises ``ConfigInvalid`` for a scheme that would not prove anything."""
    scheme = _scheme(materials.settings)
    able, encode = signers(materials.secrets, scheme.algorithm), ENCODE.get(scheme.encoding, ENCODE["hex"])

    def prove(now_us: int, signed: tuple[bytes, ...], candidate: bytes, status: int) -> str:
        return matching_secret(able, now_us, signed, encode, (candidate,), status)

    return Template(
        materials,
        scheme,
        sig_alg=f"hmac:hmac-{scheme.algorithm}",
        signature_bytes=DIGEST_BYTES[scheme.algorithm],
        prove=prove,
        able=able,
    )


def _whole(settings: ProviderSettings) -> str:
    if settings.type is None and settings.type_header is None:
        return "its type stands in the body, unless type or type_header is set"
    return ""


def sign(signing: Signing) -> Signed:
    """Headers as such a sender would set them."""
    scheme = _scheme(signing.settings)
    key = _key_from(signing.settings)(signing.secret.encode())
    template = build(Materials(settings=signing.settings))
    headers = template.signed_by(
        scheme,
        signing.body,
        signing.at_us,
        str(signing.options.get("id", "msg_1")),
        lambda signed: hmac.digest(key, signed, scheme.algorithm),
    )
    return headers, signing.body


KIND = Kind(
    name="hmac",
    signs_time=signs_time,
    about=About(
        title="Any sender that signs with HMAC",
        url="https://www.rfc-editor.org/rfc/rfc2104",
        headers=("as configured",),
        signed="as configured, e.g. `{id}.{timestamp}.{body}`",
        algorithm="HMAC with SHA-256, SHA-384 or SHA-512",
        credential="the shared key, at least 16 bytes",
        type="the body's `type_field`, or `type_header`, or a fixed `type`",
        dedupe="the signed identity, or the signed bytes",
        time="where the template holds `{timestamp}`",
        example="""\
scale:
  kind: hmac
  secrets: [{secret_id: scale-1, ref: "env:SCALE_SECRET"}]
  type: weight.measured
  scheme:
    signature_header: X-Scale-Signature
    timestamp_header: X-Scale-Time
    template: "{timestamp}.{body}"
    prefix: "sha256="
""",
        scheme=(*SCHEME_KEYS, ("algorithm", "`sha256`, `sha384` or `sha512`; default `sha256`")),
        traps=(
            "A header outside of the template proves nothing: an identity or a time that is not signed is not used.",
        ),
    ),
    build=build,
    whole=_whole,
    key_from=_key_from,
    sign=sign,
)
