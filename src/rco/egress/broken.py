"""What it means that something below HTTP failed."""

from __future__ import annotations

import re

from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientConnectorError
from aiohttp import ClientConnectorSSLError as TlsError
from aiohttp.http_exceptions import HttpProcessingError

from rco.egress.verdict import Verdict, refused

__all__ = ["broken"]

_WORD = re.compile(r"[A-Za-z0-9_]{1,64}")


def broken(error: Exception, sent: bool, address_refused: str, what: str) -> Verdict:
    """Something below HTTP failed. Errors are told by type: their texts may hold URLs and headers."""
    if address_refused and not sent:
        return refused(
            f"address_{address_refused}",
            f"{what}: its host leads to an address that is refused ({address_refused}); "
            "name the network in the target's allow_private if it is meant",
        )
    name = type(error).__name__
    if isinstance(error, HttpProcessingError):
        return Verdict(
            reason="answer_malformed",
            kind="BadAnswer",
            message=f"{what}: the answer is not HTTP, or its headers are larger than is allowed",
            ambiguous=True,
            healthy=False,
        )
    if sent:
        return Verdict(
            reason="connection_lost",
            kind="ConnectionLost",
            message=f"{what}: the connection ended before the answer did",
            retryable=True,
            ambiguous=True,
            healthy=False,
        )
    if isinstance(error, ClientConnectorDNSError):
        reason, message = "dns_failed", "its name cannot be resolved"
    elif isinstance(error, (ClientConnectorCertificateError, TlsError)):
        reason, message = "tls_failed", "TLS could not be agreed or the certificate does not verify"
    elif isinstance(error, ClientConnectorError):
        reason, message = "connect_failed", f"no connection ({_errno(error)})"
    else:
        reason, message = "connect_failed", f"no connection ({name if _WORD.fullmatch(name) else 'error'})"
    return Verdict(reason=reason, kind="ConnectFailed", message=f"{what}: {message}", retryable=True, healthy=False)


def _errno(error: OSError) -> str:
    return f"errno {error.errno}" if error.errno else "no address answered"
