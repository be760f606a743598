"""The strict parts that every signature scheme shares: headers, time stamps, candidates, comparison."""

from __future__ import annotations

import binascii
import hmac
import string
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from rco.bridge.contract import Headers
from rco.bridge.secrets import Secret
from rco.errors import Reason, Refused
from rco.telemetry.trace import plain_traceparent

__all__ = [
    "SIGNATURE_HEADER_CAP_BYTES",
    "TRACEPARENT",
    "Signer",
    "check_id",
    "check_window",
    "encode_base64",
    "gather",
    "identity_in",
    "matching_secret",
    "parse_timestamp_s",
    "signers",
    "trace_of",
    "unauth",
    "uuid_text",
    "well_formed",
]

SIGNATURE_HEADER_CAP_BYTES = 2048
TRACEPARENT = b"traceparent"
_HEX = b"0123456789abcdef"
_BASE64 = (string.ascii_letters + string.digits + "+/").encode()
_ID = bytes(range(0x21, 0x7F))
ID_CAP_BYTES = 256


def unauth(detail: str, status: int) -> Refused:
    """The refusal of a request whose signature does not hold."""
    return Refused(Reason.UNAUTH, detail, status=status)


def gather(headers: Headers, wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """The wanted headers by name.

    Raises ``Refused`` (``MALFORMED``, ``header_repeated``) when one of them comes twice, as two parsers may then see
    two requests. A repeated ``traceparent`` is only dropped: it proves nothing.
    """
    picked = [header for header in headers if header[0] in wanted]
    found = dict(picked)
    if len(found) == len(picked):
        return found
    seen: set[bytes] = set()
    for name, _ in picked:
        if name in seen:
            if name != TRACEPARENT:
                raise Refused(Reason.MALFORMED, "header_repeated")
            found[name] = b""
        seen.add(name)
    return found


def trace_of(found: dict[bytes, bytes]) -> str:
    """The request's ``traceparent`` in its plain form, or nothing when it has none that is exactly well formed."""
    value = found.get(TRACEPARENT)
    return plain_traceparent(value.decode("latin-1")) if value else ""


def parse_timestamp_s(value: bytes, status: int) -> int:
    """Unix seconds from 10 to 13 ASCII digits and nothing else. Raises ``Refused`` (``ts_malformed``)."""
    if not 10 <= len(value) <= 13 or not value.isdigit():
        raise unauth("ts_malformed", status)
    return int(value)


def check_window(time_us: int, now_us: int, age_limit_s: float, skew_limit_s: float) -> None:
    """Raises ``Refused`` (``POLICY_BLOCKED``) when a signed time is older or further ahead than allowed. The limits
    themselves are allowed."""
    age_us = now_us - time_us
    if age_us > age_limit_s * 1e6:
        raise Refused(Reason.POLICY_BLOCKED, "ts_stale", f"signed {age_us / 1e6:.0f} s ago, allowed {age_limit_s:g} s")
    if -age_us > skew_limit_s * 1e6:
        raise Refused(
            Reason.POLICY_BLOCKED, "ts_future", f"signed {-age_us / 1e6:.0f} s ahead, allowed {skew_limit_s:g} s"
        )


def check_id(value: bytes, forbidden: bytes, status: int) -> None:
    """Raises ``Refused`` (``id_malformed``) unless ``value`` is 1 to 256 printable ASCII characters, none of them in
    ``forbidden``: the separators of the signed text, so that no byte can be moved from one part to the next."""
    if not 0 < len(value) <= ID_CAP_BYTES or value.translate(None, _without(forbidden)):
        raise unauth("id_malformed", status)


@lru_cache(maxsize=256)
def _without(forbidden: bytes) -> bytes:
    """The characters of an identity besides these: a provider's never change."""
    return _ID.translate(None, forbidden)


def identity_in(data: dict[str, Any], field: str) -> str:
    """The identity in a field of a signed body, or nothing when it is not 1 to 256 printable ASCII characters."""
    value = data.get(field)
    if type(value) is not str or not 0 < len(value) <= ID_CAP_BYTES or not value.isascii() or not value.isprintable():
        return ""
    return value


def uuid_text(value: bytes) -> str:
    """The UUID in its usual text, or nothing when it is not one."""
    if len(value) != 36 or not value.isascii():
        return ""
    text = value.decode("ascii").lower()
    try:
        return text if str(uuid.UUID(text)) == text else ""
    except ValueError:
        return ""


def encode_base64(raw: bytes) -> bytes:
    """Base64 with padding and without a line end."""
    return binascii.b2a_base64(raw, newline=False)


def well_formed(candidate: bytes, digest_bytes: int, base64: bool) -> bool:
    """Whether ``candidate`` has the exact length and alphabet of an encoded digest of ``digest_bytes``."""
    if base64:
        padding = -digest_bytes % 3
        length = (digest_bytes + padding) // 3 * 4
        if len(candidate) != length or candidate[length - padding :] != b"=" * padding:
            return False
        return not candidate[: length - padding].translate(None, _BASE64)
    return len(candidate) == 2 * digest_bytes and not candidate.translate(None, _HEX)


class Signer:
    """One secret, ready to sign: the HMAC after its key and before its text."""

    __slots__ = ("keyed", "secret")

    def __init__(self, secret: Secret, algorithm: str) -> None:
        self.secret = secret
        keyed = hmac.new(secret.key, digestmod=algorithm)
        # What does the work inside, where the interpreter shows it: the same methods, without a second object and a
        # second call around each of them, which are half of the time.
        self.keyed: hmac.HMAC = getattr(keyed, "_hmac", None) or keyed


def signers(secrets: tuple[Secret, ...], algorithm: str) -> tuple[Signer, ...]:
    """A signer for each secret, in their order."""
    return tuple(Signer(secret, algorithm) for secret in secrets)


def matching_secret(
    able: tuple[Signer, ...],
    now_us: int,
    signed: tuple[bytes, ...],
    encode: Callable[[bytes], bytes],
    candidates: Sequence[bytes],
    status: int,
) -> str:
    """The identity of the first active secret that made one of ``candidates`` over the joined parts of ``signed``.

    Every active secret and every candidate is tried, whatever matched before, and each comparison takes constant
    time. The digest we expect is encoded and the texts are compared: base64 has several texts for the same bytes,
    and only one of them may pass. ``candidates`` are ``well_formed``. Raises ``Refused``: ``no_active_secret`` or
    ``sig_mismatch``.
    """
    tried = False
    matched = ""
    for signer in able:
        secret = signer.secret
        if not secret.not_before_us <= now_us <= secret.not_after_us:
            continue
        tried = True
        # Not hmac.digest: that gives up the interpreter lock at every call, which costs more than ten digests when
        # the server's threads wait for it. A copy of the keyed state keeps it for texts of the usual size.
        mac = signer.keyed.copy()
        for part in signed:
            mac.update(part)
        expected = encode(mac.digest())
        for candidate in candidates:
            if hmac.compare_digest(expected, candidate) and not matched:
                matched = secret.secret_id
    if matched:
        return matched
    raise unauth("sig_mismatch" if tried else "no_active_secret", status)
