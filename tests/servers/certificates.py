"""An authority of the tests' own, and certificates of it: as right or as wrong as a test wants them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["Authority", "Issued", "pem_of"]


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def write(self, folder: Path, name: str = "server", mode: int = 0o600) -> tuple[Path, Path]:
        """The files of certificate and key."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(pem_of(self.key))
        key.chmod(mode)
        return certificate, key


class Authority:
    """Issues certificates for 127.0.0.1 and localhost."""

    def __init__(self, name: str = "authority") -> None:
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.issued = self._issue(name, self._key, x509.BasicConstraints(ca=True, path_length=None), 1)

    def write(self, folder: Path) -> Path:
        path = folder / f"{self.name}.pem"
        path.write_bytes(self.issued.pem)
        return path

    def issue(self, name: str = "localhost", *, key: Any = None, days: float = 1) -> Issued:
        """Valid since yesterday; with ``days`` below 0 it is over."""
        plain = x509.BasicConstraints(ca=False, path_length=None)
        return self._issue(name, key or ec.generate_private_key(ec.SECP256R1()), plain, days)

    def _issue(self, name: str, key: Any, constraints: x509.BasicConstraints, days: float) -> Issued:
        now = datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        return Issued(builder.sign(self._key, hashes.SHA256()), key)

    def revoked(self, *taken_back: Issued, days: float = 1, begun: float = -1, more: Any = None) -> bytes:
        """A revocation list in PEM: begun ``begun`` days from now, the next one due ``days`` from now."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.issued.certificate.subject)
            .last_update(now + timedelta(days=begun))
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        if more is not None:
            builder = builder.add_extension(more, critical=True)
        for one in taken_back:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(one.certificate.serial_number)
                .revocation_date(now - timedelta(hours=1))
                .build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def pem_of(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    """A private key as it is written."""
    return bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
