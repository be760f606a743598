"""Test certificates, the same at each run: fixed keys, serial numbers and dates."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

KEYS = Path(__file__).parent / "keys"
FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2046, 1, 1, tzinfo=UTC)


def private_text(name: str) -> str:
    return (KEYS / f"{name}.pem").read_text()


@cache
def private(name: str) -> RSAPrivateKey:
    key = load_pem_private_key(private_text(name).encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


def certificate(
    name: str,
    key: str,
    signer: str = "root",
    issuer: str = "RCO test root",
    *,
    authority: bool = False,
    first: datetime = FIRST,
    last: datetime = LAST,
) -> str:
    """PEM of a certificate for ``name``, signed with the key of ``signer``."""
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(private(key).public_key())
        .serial_number(1000 + len(name) + len(key))
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(private(signer).public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private(key).public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        ).add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(private(signer), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def root() -> str:
    return certificate("RCO test root", "root", authority=True)
