"""TLS at the listener: what can be set, and what is wrong with a certificate before anybody meets it.

Everything is read once, as a whole, and checked: the certificate belongs to the key, is valid now, and its chain is in
order. What is served afterwards is what was checked, whatever becomes of the files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from rco.errors import ConfigInvalid
from rco.kit.clock import MICROS, iso
from rco.kit.digest import digest, length_prefixed
from rco.server.revocation_lists import Lists, read_lists

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["Served", "TlsOptions", "faults", "read_certificate", "shut"]

RSA_BITS_MIN = 2048
_FIELDS = ("certificate", "private_key", "client_ca", "client_revocations")


class TlsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """TLS on `server.bind_addr`. The metrics address stays without: it is for the inside only."""

    enabled: bool = False
    """Whether the listener speaks TLS, and nothing else. Changes with a restart; the rest with a reload."""
    certificate: str = ""
    """A reference to the certificate and its chain, in PEM, its own first: `file:/path` or `env:NAME`."""
    private_key: str = ""
    """A reference to its private key, in PEM and not encrypted. A file may be read by its owner and its group alone."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version that is spoken; clients that know only older ones are refused."""
    client_ca: str = ""
    """A reference to the authorities, in PEM, of whom clients must show a certificate. Empty: clients need none."""
    client_revocations: str = ""
    """A reference to their revocation lists, in PEM or DER, one for each. Clients whose certificate is in one are
    refused, and all of them once a list has expired. Empty: nothing is looked for."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener serves: checked, and in the form that the server takes."""

    chain: bytes
    private_key: bytes
    client_ca: bytes
    min_version: str
    leaf: bytes
    """The certificate itself, in DER."""
    not_after_us: int
    revoked: bytes = b""
    """Revocation lists of the authorities, in PEM; empty where none are asked for."""
    revoked_until_us: int = 0
    """When the first of them ends."""
    shut: bool = False
    """Whether it has ended: no client is let in."""

    @property
    def mark(self) -> bytes:
        """The same for what makes no difference."""
        return digest(
            length_prefixed(self.chain, self.private_key, self.client_ca, self.revoked, self.min_version.encode())
        )

    def __repr__(self) -> str:
        return f"Served(not_after={iso(self.not_after_us)})"


def faults(options: TlsOptions, is_reference: Callable[[str], object]) -> Iterator[tuple[str, str, str]]:
    """What is wrong without reading anything: key, message, cure."""
    for field in _FIELDS:
        text = getattr(options, field)
        # The text is not shown: somebody may have put the key itself here.
        if text and not is_reference(text):
            yield f"tls.{field}", "is not a reference", "Write file:/path or env:NAME."
        if text and not options.enabled:
            yield f"tls.{field}", "does nothing while tls.enabled is false", "Set tls.enabled: true, or leave it out."
    if options.client_revocations and not options.client_ca:
        yield "tls.client_revocations", "is of no use without tls.client_ca", "Name the authorities, or leave it out."
    if options.enabled:
        for field in ("certificate", "private_key"):
            if not getattr(options, field):
                yield f"tls.{field}", "is missing: TLS is enabled", "Write file:/path or env:NAME."


def read_certificate(options: TlsOptions, resolve: Callable[[str], str], now_us: int) -> Served:
    """What ``options`` say is to be served. Raises ``ConfigInvalid`` at the key of what is wrong: a file that cannot be
    read or that others may read, no PEM, a certificate that is not valid at ``now_us`` or is not of this key, a chain
    out of order."""
    chain = _certificates(_resolved(options.certificate, resolve, "certificate"), "certificate")
    leaf = chain[0]
    _check_time(leaf, now_us, "certificate")
    _check_order(chain)
    _check_mode(options.private_key)
    key = _private_key(_resolved(options.private_key, resolve, "private_key"))
    if _public(key.public_key()) != _public(leaf.public_key()):
        raise _invalid(
            "private_key",
            f"is not the key of the certificate ({_named(leaf)})",
            "Give both of one order; the certificate's own comes first in its file.",
        )
    authorities: list[x509.Certificate] = []
    if options.client_ca:
        authorities = _certificates(_resolved(options.client_ca, resolve, "client_ca"), "client_ca")
        for one in authorities:
            _check_time(one, now_us, "client_ca")
    lists = Lists()
    if options.client_revocations:
        lists = read_lists(options.client_revocations, resolve, authorities, now_us)
    return Served(
        chain=b"".join(one.public_bytes(Encoding.PEM) for one in chain),
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        client_ca=b"".join(one.public_bytes(Encoding.PEM) for one in authorities),
        min_version=options.min_version,
        leaf=leaf.public_bytes(Encoding.DER),
        not_after_us=round(leaf.not_valid_after_utc.timestamp() * MICROS),
        revoked=lists.pem,
        revoked_until_us=lists.until_us,
    )


def shut(served: Served) -> Served:
    """``served``, to no client: it trusts an authority that was made this moment, and whose key nobody has."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(UTC)
    nobody = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(seconds=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return msgspec.structs.replace(
        served, client_ca=nobody.public_bytes(Encoding.PEM), revoked=b"", revoked_until_us=0, shut=True
    )


def _invalid(field: str, message: str, cure: str) -> ConfigInvalid:
    return ConfigInvalid(message, cure=cure, key=f"tls.{field}")


def _resolved(reference: str, resolve: Callable[[str], str], field: str) -> bytes:
    try:
        return resolve(reference).encode()
    except ConfigInvalid as problem:
        raise _invalid(field, problem.message, problem.cure) from None


def _certificates(text: bytes, field: str) -> list[x509.Certificate]:
    # Takes long to load: not for a listener without TLS.
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        raise _invalid(
            field, "holds no certificate in PEM", "It begins with -----BEGIN CERTIFICATE-----; convert DER by openssl."
        ) from None


def _check_time(one: x509.Certificate, now_us: int, field: str) -> None:
    first, last = one.not_valid_before_utc, one.not_valid_after_utc
    if now_us > last.timestamp() * MICROS:
        raise _invalid(
            field, f"expired on {last:%Y-%m-%dT%H:%M:%SZ} ({_named(one)})", "Put the renewed one in its place."
        )
    if now_us < first.timestamp() * MICROS:
        raise _invalid(
            field,
            f"is not valid before {first:%Y-%m-%dT%H:%M:%SZ} ({_named(one)})",
            "Wait until then, or look at this machine's clock.",
        )


def _check_order(chain: list[x509.Certificate]) -> None:
    for place, (one, above) in enumerate(pairwise(chain), 1):
        if one.issuer != above.subject:
            raise _invalid(
                "certificate",
                f"is out of order: number {place} ({_named(one)}) is not issued by the next ({_named(above)})",
                "Put the certificate itself first, then who issued it, and so on.",
            )


def _check_mode(reference: str) -> None:
    if not reference.startswith("file:"):
        return
    path = reference.removeprefix("file:")
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)  # noqa: PTH116 - of what a link leads to, as mounted secrets are links
    except OSError:
        return  # told by who reads it
    if mode & 0o037:
        raise _invalid(
            "private_key",
            f"may be read or changed by others: {path} has mode {mode:04o}",
            f"chmod 0600 {path}; a mounted secret takes its mode from its volume (defaultMode: 0400).",
        )


_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def _private_key(text: bytes) -> _Key:
    try:
        key = load_pem_private_key(text, None)
    except TypeError:
        raise _invalid("private_key", "is encrypted", "Give it without a password; its mode protects it.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _invalid(
            "private_key", "holds no private key in PEM", "It begins with -----BEGIN PRIVATE KEY-----."
        ) from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < RSA_BITS_MIN:
        raise _invalid("private_key", f"has {key.key_size} bits", f"RSA keys need {RSA_BITS_MIN} at least.")
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in ("secp256r1", "secp384r1"):
        raise _invalid("private_key", f"is on the curve {key.curve.name}", "Use P-256 or P-384, RSA, or ed25519.")
    if not isinstance(key, _Key):
        raise _invalid("private_key", "is of a kind that is not served", "Use P-256 or P-384, RSA, or ed25519.")
    return key


def _public(key: object) -> bytes:
    encode = getattr(key, "public_bytes", None)
    return b"" if encode is None else bytes(encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _named(one: x509.Certificate) -> str:
    return one.subject.rfc4514_string() or f"serial {one.serial_number:x}"
