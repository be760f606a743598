"""Signatures of Standard Webhooks (https://www.standardwebhooks.com, 1.0.0): v1 is HMAC-SHA256, v1a is Ed25519.

Signed are the very bytes of the body, after the message's id and the time of the attempt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rco.errors import ConfigInvalid

__all__ = ["Signer", "generated", "parse_secret", "signature_header"]

_SYMMETRIC, _PRIVATE, _PUBLIC = "whsec_", "whsk_", "whpk_"
_SEED_BYTES = 32


class Signer:
    """One secret, opened. ``public`` is what receivers verify with; empty for v1."""

    __slots__ = ("_private", "_secret", "kind", "public")

    def __init__(self, kind: Literal["v1", "v1a"], secret: bytes) -> None:
        """``secret``: of v1 the key, of v1a the 32 bytes that the private key is made from."""
        self.kind = kind
        self._secret = secret
        self._private = Ed25519PrivateKey.from_private_bytes(secret) if kind == "v1a" else None
        self.public = ""
        if self._private is not None:
            self.public = _PUBLIC + base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def sign(self, signed: bytes) -> str:
        if self._private is not None:
            made = self._private.sign(signed)
        else:
            made = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return f"{self.kind},{base64.b64encode(made).decode()}"


def signature_header(signers: Iterable[Signer], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of ``webhook-signature``: one signature for each secret, so that receivers may hold any of them."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp_s, body)
    return " ".join(signer.sign(signed) for signer in signers)


def generated(kind: Literal["v1", "v1a"], random: bytes) -> str:
    """A new secret's text, of 32 random bytes."""
    return (_SYMMETRIC if kind == "v1" else _PRIVATE) + base64.b64encode(random).decode()


def parse_secret(text: str) -> Signer:
    """From ``whsec_...`` (24 to 64 bytes) or ``whsk_...`` (32 bytes, or 64 with the public key behind them), in base64.
    Raises ``ConfigInvalid`` that does not repeat it."""
    try:
        if text.startswith(_SYMMETRIC):
            secret = base64.b64decode(text.removeprefix(_SYMMETRIC), validate=True)
            if 24 <= len(secret) <= 64:
                return Signer("v1", secret)
        elif text.startswith(_PRIVATE):
            secret = base64.b64decode(text.removeprefix(_PRIVATE), validate=True)
            if len(secret) in (_SEED_BYTES, 2 * _SEED_BYTES):
                return Signer("v1a", secret[:_SEED_BYTES])
    except (binascii.Error, ValueError):
        pass
    raise ConfigInvalid(
        "this is no signing secret", cure="Write whsec_ and 24 to 64 bytes in base64, or whsk_ and 32 bytes in base64."
    )
