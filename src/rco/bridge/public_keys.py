"""Signatures that are checked with a public key: ed25519, ECDSA and RSA (``cryptography``)."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rco.bridge.secrets import Secret, active
from rco.bridge.signature import encode_base64, unauth

__all__ = ["Check", "PublicKey", "decode_signature", "ed25519_keys", "matching_key"]

Check = Callable[[bytes, bytes], None]
"""Signature and signed bytes in; raises ``InvalidSignature``."""
ED25519_KEY_BYTES = 32
ED25519_SIGNATURE_BYTES = 64


class PublicKey:
    """One secret of a provider that is a public key, ready to check."""

    __slots__ = ("check", "secret")

    def __init__(self, secret: Secret, check: Check) -> None:
        self.secret, self.check = secret, check


def ed25519_keys(secrets: tuple[Secret, ...]) -> tuple[PublicKey, ...]:
    """Keys of 32 bytes each (RFC 8032), ready to check."""
    return tuple(PublicKey(one, Ed25519PublicKey.from_public_bytes(one.key).verify) for one in secrets)


def decode_signature(text: bytes, base64: bool) -> bytes | None:
    """The signature behind its text, or ``None`` when it is not exactly the text that encodes it: each signature has
    one text, in lower case or with padding, and only that passes."""
    try:
        raw = binascii.a2b_base64(text, strict_mode=True) if base64 else binascii.unhexlify(text)
    except (binascii.Error, ValueError):
        return None
    return raw if (encode_base64(raw) if base64 else binascii.hexlify(raw)) == text else None


def matching_key(
    keys: Sequence[PublicKey], now_us: int, signed: bytes, candidates: Sequence[bytes], status: int
) -> str:
    """The identity of the first active key that one of ``candidates`` verifies under, over ``signed``. Raises
    ``Refused``: ``no_active_secret`` or ``sig_mismatch``."""
    tried = False
    for key in keys:
        if not active(key.secret, now_us):
            continue
        tried = True
        for candidate in candidates:
            try:
                key.check(candidate, signed)
            except InvalidSignature:
                continue
            return key.secret.secret_id
    raise unauth("sig_mismatch" if tried else "no_active_secret", status)
