"""Revocation lists for the certificates of clients (RFC 5280, section 5): what is wrong with one before it is served.

A list is trusted when one of the authorities signed it and it is of this time. Every authority needs one: without it
nobody could tell its good certificates from those that it took back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from rco.errors import ConfigInvalid
from rco.kit.clock import MICROS

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["Lists", "read_lists"]

KEY = "tls.client_revocations"
LISTS_BYTES_MAX = 16 << 20
LISTS_MAX = 64
_PEM = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


class Lists(msgspec.Struct, frozen=True):
    """Lists that were found right, in PEM, and when the first of them ends."""

    pem: bytes = b""
    until_us: int = 0


def read_lists(
    reference: str, resolve: Callable[[str], str], authorities: list[x509.Certificate], now_us: int
) -> Lists:
    """The lists of ``reference``, in PEM or DER. Raises ``ConfigInvalid``: what cannot be read or is no list, one that
    none of ``authorities`` signed, that is not of ``now_us`` or never ends, that is only a part, and an authority
    without one."""
    from cryptography import x509

    found = [_list(one) for one in _each(_bytes(reference, resolve))]
    if not 0 < len(found) <= LISTS_MAX:
        raise _invalid(f"holds {len(found)} revocation lists", f"Put in 1 to {LISTS_MAX}, in PEM or one in DER.")
    without = {one.subject.rfc4514_string() for one in authorities}
    until_us = 0
    for one in found:
        name = one.issuer.rfc4514_string()
        signers = [ca for ca in authorities if ca.subject == one.issuer]
        if not any(_signed(one, ca) for ca in signers):
            raise _invalid(
                f"holds a list of {name} that no authority of tls.client_ca signed", "Take that authority's."
            )
        for part in (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint):
            if any(isinstance(extension.value, part) for extension in one.extensions):
                raise _invalid(f"holds a list of {name} that is only a part of one", "Take the complete list.")
        until_us = min(_time(one, name, now_us), until_us or _time(one, name, now_us))
        without.discard(name)
    if without:
        raise _invalid(
            f"holds no list of {', '.join(sorted(without))}",
            "Add one for each authority of tls.client_ca; it may be empty.",
        )
    return Lists(b"".join(one.public_bytes(Encoding.PEM) for one in found), until_us)


def _invalid(message: str, cure: str) -> ConfigInvalid:
    return ConfigInvalid(message, cure=cure, key=KEY)


def _bytes(reference: str, resolve: Callable[[str], str]) -> bytes:
    if not reference.startswith("file:"):
        try:
            return resolve(reference).encode()
        except ConfigInvalid as problem:
            raise _invalid(problem.message, problem.cure) from None
    path = Path(reference.removeprefix("file:"))
    try:
        with path.open("rb") as file:
            data = file.read(LISTS_BYTES_MAX + 1)
    except OSError as problem:
        raise _invalid(f"cannot be read: {path}: {problem.strerror}", "Look at the path and its rights.") from None
    if len(data) > LISTS_BYTES_MAX:
        raise _invalid(f"is larger than {LISTS_BYTES_MAX >> 20} MiB", "Take the list of the authority alone.")
    return data


def _each(data: bytes) -> list[bytes]:
    return _PEM.findall(data) if b"-----BEGIN" in data[:4096] else [data]


def _list(data: bytes) -> x509.CertificateRevocationList:
    from cryptography import x509

    try:
        load = x509.load_pem_x509_crl if data.startswith(b"-----BEGIN") else x509.load_der_x509_crl
        found = load(data)
        # What cannot be read of it is found now, not in a handshake.
        len(found.extensions)
    except ValueError:
        raise _invalid("holds no revocation list", "Give it in PEM (-----BEGIN X509 CRL-----) or DER.") from None
    return found


def _signed(one: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return one.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except TypeError:
        return False


def _time(one: x509.CertificateRevocationList, name: str, now_us: int) -> int:
    """When it ends."""
    until = one.next_update_utc
    if until is None:
        raise _invalid(f"holds a list of {name} that does not say when the next one comes", "Give it a next update.")
    if now_us >= until.timestamp() * MICROS:
        raise _invalid(
            f"expired on {until:%Y-%m-%dT%H:%M:%SZ} ({name})", "Put the authority's newest list in its place."
        )
    if now_us < one.last_update_utc.timestamp() * MICROS:
        raise _invalid(
            f"is not valid before {one.last_update_utc:%Y-%m-%dT%H:%M:%SZ} ({name})",
            "Wait until then, or look at this machine's clock.",
        )
    return round(until.timestamp() * MICROS)
