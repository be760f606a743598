"""Private keys, for signing as a provider does in tests and in ``rco interop conform``. Verifying never needs one."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

__all__ = ["ecdsa_private", "ed25519_private", "rsa_private"]


def ed25519_private(text: str) -> Ed25519PrivateKey:
    """From PEM, or from the 32 bytes in hexadecimal. Raises ``ValueError``."""
    if not text.startswith("-----"):
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    key = load_pem_private_key(text.encode(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is not an ed25519 key")
    return key


def ecdsa_private(pem: str) -> EllipticCurvePrivateKey:
    """From PEM. Raises ``ValueError``."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError("it is not an ECDSA key")
    return key


def rsa_private(pem: str) -> RSAPrivateKey:
    """From PEM. Raises ``ValueError``."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("it is not an RSA key")
    return key
