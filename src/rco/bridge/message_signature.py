"""HTTP message signatures (RFC 9421): what is signed, and the algorithms that sign it.

A route is where it is configured to be: method, authority, path and query come from its public address and never from
the request, so a signature for another endpoint does not hold here, whatever the request line says.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from rco.bridge.public_keys import Check
from rco.bridge.secrets import open_base64
from rco.bridge.structured import InnerList, Item

__all__ = ["ALGORITHMS", "DIGESTS", "Place", "base_of", "check_with", "open_key"]

RSA_BITS_MIN = 2048
HMAC_BYTES_MIN = 16
DIGESTS = {"sha-256": "sha256", "sha-512": "sha512"}
"""Names of ``Content-Digest`` (RFC 9530) that count. Others beside them are passed over."""


class Place:
    """Where a route is: the derived components (RFC 9421 section 2.2) of every request to it."""

    __slots__ = ("_derived", "_query")

    def __init__(self, public_url: str) -> None:
        """Raises ``ValueError`` for what is no ``http`` or ``https`` address."""
        parts = urlsplit(public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.fragment:
            raise ValueError("it is not an http or https address without user and fragment")
        if not public_url.isascii() or not public_url.isprintable() or " " in public_url:
            raise ValueError("it holds characters that an address cannot")
        default = 443 if parts.scheme == "https" else 80
        authority = parts.hostname if parts.port in (None, default) else f"{parts.hostname}:{parts.port}"
        path, query = parts.path or "/", f"?{parts.query}"
        self._query = parse_qsl(parts.query, keep_blank_values=True)
        self._derived = {
            "@method": "POST",
            "@scheme": parts.scheme,
            "@authority": authority,
            "@path": path,
            "@query": query,
            "@request-target": path + (query if parts.query else ""),
            "@target-uri": public_url if parts.path else public_url + "/",
        }

    def value(self, item: Item) -> str:
        """The value of a derived component. Raises ``ValueError`` for one that is not known here."""
        if item.name == "@query-param" and set(item.parameters) == {"name"}:
            values = [value for name, value in self._query if _encoded(name) == item.parameters["name"]]
            if len(values) != 1:
                raise ValueError("the query does not hold the parameter exactly once")
            return _encoded(values[0])
        if item.name not in self._derived or item.parameters:
            raise ValueError(f"{item.text} is not known here")
        return self._derived[item.name]


def _encoded(text: str) -> str:
    return quote(text, safe="*").replace("~", "%7E")


def base_of(place: Place, headers: dict[str, list[bytes]], covered: InnerList) -> bytes:
    """The signature base (RFC 9421 section 2.5). ``headers`` are all of the request's, by lower-case name.

    Raises ``ValueError`` for a component that is unknown, absent, covered twice or changed by a parameter: those
    (``sf``, ``key``, ``bs``, ``tr``, ``req``) give one request several bases, and webhooks do not need them.
    """
    lines: list[str] = []
    seen: set[str] = set()
    for item in covered.items:
        if item.text in seen:
            raise ValueError(f"{item.text} is covered twice")
        seen.add(item.text)
        value = place.value(item) if item.name.startswith("@") else _field(headers, item)
        lines.append(f"{item.text}: {value}")
    lines.append(f'"@signature-params": {covered.text}')
    return "\n".join(lines).encode("ascii")


def _field(headers: dict[str, list[bytes]], item: Item) -> str:
    found = headers.get(item.name)
    if not found or item.parameters:
        raise ValueError(f"{item.text} is not there, or has parameters")
    value = b", ".join(one.strip(b" \t") for one in found)
    if not value.isascii() or not value.decode("ascii").isprintable():
        raise ValueError(f"{item.text} holds what cannot be signed")
    return value.decode("ascii")


def open_key(algorithm: str, text: bytes) -> bytes:
    """The key as it is written: base64 for ``hmac-sha256``, PEM or base64 of its DER otherwise. Raises ``ValueError``
    when it does not fit the algorithm."""
    if algorithm == "hmac-sha256":
        key = open_base64(text)
        if len(key) < HMAC_BYTES_MIN:
            raise ValueError(f"it has {len(key)} bytes; use at least {HMAC_BYTES_MIN}")
        return key
    raw = text if text.startswith(b"-----") else open_base64(b"".join(text.split()))
    check_with(algorithm, raw)
    return raw


def check_with(algorithm: str, key: bytes) -> Check:
    """How a signature by ``algorithm`` is checked with ``key``. Raises ``ValueError`` for a key of another kind."""
    if algorithm == "hmac-sha256":
        return _hmac(key)
    public = load_pem_public_key(key) if key.startswith(b"-----") else load_der_public_key(key)
    return ALGORITHMS[algorithm](public)


def _hmac(key: bytes) -> Check:
    def check(signature: bytes, signed: bytes) -> None:
        if not hmac.compare_digest(hmac.digest(key, signed, "sha256"), signature):
            raise InvalidSignature

    return check


def _rsa(scheme: padding.AsymmetricPadding, algorithm: hashes.HashAlgorithm) -> Callable[[Any], Check]:
    def make(key: Any) -> Check:
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < RSA_BITS_MIN:
            raise ValueError(f"it is not an RSA key of at least {RSA_BITS_MIN} bits")
        return lambda signature, signed: key.verify(signature, signed, scheme, algorithm)

    return make


def _ecdsa(curve: type[ec.EllipticCurve], algorithm: hashes.HashAlgorithm, half: int) -> Callable[[Any], Check]:
    def make(key: Any) -> Check:
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, curve):
            raise ValueError(f"it is not a key on {curve.name}")

        def check(signature: bytes, signed: bytes) -> None:
            if len(signature) != 2 * half:
                raise InvalidSignature
            first, second = (int.from_bytes(part) for part in (signature[:half], signature[half:]))
            key.verify(encode_dss_signature(first, second), signed, ec.ECDSA(algorithm))

        return check

    return make


def _ed25519(key: Any) -> Check:
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ValueError("it is not an ed25519 key")
    return key.verify


ALGORITHMS: dict[str, Callable[[Any], Check]] = {
    "ed25519": _ed25519,
    "ecdsa-p256-sha256": _ecdsa(ec.SECP256R1, hashes.SHA256(), 32),
    "ecdsa-p384-sha384": _ecdsa(ec.SECP384R1, hashes.SHA384(), 48),
    "rsa-pss-sha512": _rsa(padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512()),
    "rsa-v1_5-sha256": _rsa(padding.PKCS1v15(), hashes.SHA256()),
    "hmac-sha256": _hmac,
}
"""The algorithms of RFC 9421 section 3.3, by the names of its registry."""
