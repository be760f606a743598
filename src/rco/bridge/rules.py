"""What provider settings must keep to, whatever their kind."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeVar

import msgspec

from rco.bridge.contract import ProviderSettings
from rco.errors import ConfigInvalid

__all__ = ["MEDIA_TYPE", "check_settings", "fixed_scheme", "header_name", "key_of", "read_scheme"]

_Scheme = TypeVar("_Scheme", bound=msgspec.Struct)

MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_SECRET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,256}")

WINDOW_CAP_S = 300.0
BODY_CAP_BYTES = 64 << 20
LARGE_BODY_CAP_BYTES = 1 << 30
HORIZON_CAP_S = 366 * 86400.0
SECRETS_CAP = 8
# 410 is not among them on purpose: senders that see it switch the endpoint off.
BAD_SIGNATURE_STATUSES = (400, 401, 403)


def key_of(settings: ProviderSettings, *parts: str) -> str:
    """The configuration key of a part of these settings, for messages."""
    return ".".join(("providers", settings.name, *parts))


def header_name(text: str, key: str) -> bytes:
    """A configured header name in the form in which requests carry it. Raises ``ConfigInvalid`` (RFC 9110, token)."""
    lowered = text.lower()
    if _HEADER.fullmatch(lowered) is None:
        raise ConfigInvalid(f"{text!r} is not a header name", cure="Write e.g. X-Signature.", key=key)
    return lowered.encode()


def fixed_scheme(settings: ProviderSettings) -> None:
    """Raises ``ConfigInvalid`` when a kind that fixes its own headers is given a scheme."""
    if settings.scheme is not None or settings.type_header is not None:
        raise ConfigInvalid(
            f"kind {settings.kind} fixes its own headers",
            cure="Leave scheme and type_header out; they belong to kinds hmac and ed25519.",
            key=key_of(settings, "scheme" if settings.scheme is not None else "type_header"),
        )


def read_scheme(settings: ProviderSettings, kind: type[_Scheme]) -> _Scheme:
    """The scheme as ``kind`` describes it. Raises ``ConfigInvalid`` at the key that is unknown, missing or of another
    type, with the nearest that there is."""
    given: dict[str, Any] = settings.scheme or {}
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in given:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            raise ConfigInvalid(
                "is not a setting",
                cure=f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(sorted(fields)) or 'nothing'}.",
                key=key_of(settings, "scheme", name),
            )
    for name, field in fields.items():
        if field.required and name not in given:
            raise ConfigInvalid(
                f"kind {settings.kind} needs {name}", cure="Add it.", key=key_of(settings, "scheme", name)
            )
        if name in given:
            try:
                msgspec.convert(given[name], field.type, strict=True)
            except msgspec.ValidationError as error:
                message = str(error).split(" - at")[0].split(", got")[0]
                raise ConfigInvalid(message, key=key_of(settings, "scheme", name)) from None
    return msgspec.convert(given, kind, strict=True)


def check_settings(settings: ProviderSettings) -> None:
    """Raises ``ConfigInvalid`` for the first thing that does not hold; says where, what and the cure."""
    if _NAME.fullmatch(settings.name) is None:
        raise ConfigInvalid(
            f"{settings.name!r} is not a provider name",
            cure="Use 1 to 63 letters, digits, hyphens or underscores, starting with a letter or digit.",
            key="providers",
        )
    _check_secrets(settings)
    for name, seconds, least in (
        ("age_limit_s", settings.age_limit_s, 1.0),
        ("skew_limit_s", settings.skew_limit_s, 0.0),
    ):
        if not least <= seconds <= WINDOW_CAP_S:
            raise ConfigInvalid(
                f"{seconds} s is outside of {least:g} to {WINDOW_CAP_S:g}",
                cure="A longer window only lengthens the life of a stolen request.",
                key=key_of(settings, name),
            )
    if settings.bad_signature_status not in BAD_SIGNATURE_STATUSES:
        raise ConfigInvalid(
            f"{settings.bad_signature_status} cannot be the answer to a bad signature",
            cure="Choose 400, 401 or 403.",
            key=key_of(settings, "bad_signature_status"),
        )
    if not 1 <= settings.body_limit_bytes <= BODY_CAP_BYTES:
        raise ConfigInvalid(
            f"{settings.body_limit_bytes} bytes is outside of 1 to {BODY_CAP_BYTES}",
            cure="Most senders stay under 1048576 (1 MiB).",
            key=key_of(settings, "body_limit_bytes"),
        )
    _check_large_body(settings)
    horizon_s = settings.retry_horizon_s
    if horizon_s is not None and not 1 <= horizon_s <= HORIZON_CAP_S:
        raise ConfigInvalid(
            f"{horizon_s} s is outside of 1 to {HORIZON_CAP_S:g}",
            cure="Give the time over which the sender retries, e.g. 604800 (7 days).",
            key=key_of(settings, "retry_horizon_s"),
        )
    _check_admission(settings)
    _check_event(settings)


def _check_large_body(settings: ProviderSettings) -> None:
    limit_bytes = settings.large_body_limit_bytes
    if limit_bytes is None:
        return
    key = key_of(settings, "large_body_limit_bytes")
    if not settings.body_limit_bytes < limit_bytes <= LARGE_BODY_CAP_BYTES:
        raise ConfigInvalid(
            f"{limit_bytes} bytes is not above body_limit ({settings.body_limit_bytes}) and at most"
            f" {LARGE_BODY_CAP_BYTES}",
            cure="Write e.g. 25MiB, or leave it out.",
            key=key,
        )
    if settings.subject is not None:
        raise ConfigInvalid(
            "cannot be together with subject, which is an expression over the parsed body",
            cure="Leave one of them out; a body over body_limit is never parsed.",
            key=key,
        )


def _check_secrets(settings: ProviderSettings) -> None:
    key = key_of(settings, "secrets")
    if len(settings.secrets) > SECRETS_CAP:
        raise ConfigInvalid(
            f"{len(settings.secrets)} secrets; there may be up to {SECRETS_CAP}",
            cure="During a rotation name the old and the new one, and take the old one out afterwards.",
            key=key,
        )
    seen: set[str] = set()
    for secret in settings.secrets:
        if _SECRET_ID.fullmatch(secret.secret_id) is None or secret.secret_id in seen:
            raise ConfigInvalid(
                f"secret_id {secret.secret_id!r} is malformed or used twice",
                cure="Give each secret an identity of its own of letters, digits, dots, hyphens or underscores.",
                key=key,
            )
        seen.add(secret.secret_id)
        scheme, _, rest = secret.ref.partition(":")
        if scheme not in {"env", "file"} or not rest:
            # The text is not shown: somebody may have put the secret itself here.
            raise ConfigInvalid(
                f"ref of secret {secret.secret_id!r} is not a reference",
                cure="Write env:NAME or file:/path, never the secret itself.",
                key=key,
            )


def _check_admission(settings: ProviderSettings) -> None:
    rate, burst = settings.rate_per_s, settings.burst
    if (rate is not None and not 0 < rate <= 1e6) or (burst is not None and not 1 <= burst <= 1_000_000):
        raise ConfigInvalid(
            f"rate_per_s {rate} with burst {burst} lets nothing through or everything",
            cure="Give a rate above 0 and a burst of at least 1, or leave both out.",
            key=key_of(settings, "rate_per_s"),
        )
    if burst is not None and rate is None:
        raise ConfigInvalid("burst without rate_per_s", cure="Give both.", key=key_of(settings, "burst"))
    media_types = settings.content_types
    if media_types is not None and not 1 <= len(media_types) <= 8:
        raise ConfigInvalid(
            f"{len(media_types)} content types; there must be 1 to 8",
            cure="Leave it out for what this kind sends.",
            key=key_of(settings, "content_types"),
        )
    for media in media_types or ():
        if MEDIA_TYPE.fullmatch(media) is None:
            raise ConfigInvalid(
                f"{media!r} is not a media type in lower case without parameters",
                cure="Write e.g. application/json.",
                key=key_of(settings, "content_types"),
            )


def _check_event(settings: ProviderSettings) -> None:
    for name, text in (
        ("namespace", settings.namespace),
        ("source", settings.source),
        ("type", settings.type),
        ("type_field", settings.type_field),
    ):
        if text is not None and _PRINTABLE.fullmatch(text) is None:
            raise ConfigInvalid(
                f"{text!r} cannot be used here",
                cure="Use 1 to 256 printable ASCII characters without spaces.",
                key=key_of(settings, name),
            )
    if settings.subject is not None and not 1 <= len(settings.subject) <= 1024:
        raise ConfigInvalid(
            f"the subject expression has {len(settings.subject)} characters; it must have 1 to 1024",
            cure="Write e.g. .data.order_id, or leave it out.",
            key=key_of(settings, "subject"),
        )
    if settings.type is not None and settings.type_header is not None:
        raise ConfigInvalid(
            "type and type_header are both given", cure="Keep one.", key=key_of(settings, "type_header")
        )
