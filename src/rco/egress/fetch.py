"""``GET`` of an ``https`` address that somebody else named, such as a certificate's: the same guard as for calls, no
redirect, one cap and one deadline. Who asks has pinned the host; this sees to the rest."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rco.egress.addresses import Network
from rco.egress.socket_guard import OpenSocket, SocketGuard, open_socket
from rco.errors import Unreachable

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from aiohttp.abc import AbstractResolver

__all__ = ["Fetcher", "system_roots"]

TIMEOUT_S = 3.0
CONNECTIONS = 4
HTTPS_PORT = 443


def system_roots() -> list[bytes]:
    """The certificates (DER) that this machine trusts."""
    return ssl.create_default_context().get_ca_certs(binary_form=True)


class Fetcher:
    """Fetches. Belongs to one event loop; ``stop`` closes what it opened."""

    __slots__ = ("_allow_private", "_opener", "_port", "_resolver", "_session", "_timeout_s", "_tls")

    def __init__(
        self,
        *,
        resolver: AbstractResolver | None = None,
        opener: OpenSocket = open_socket,
        tls: ssl.SSLContext | None = None,
        allow_private: Sequence[Network] = (),
        port: int = HTTPS_PORT,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """``port`` is the only one that sockets may go to; ``tls`` verifies servers (default: the system's
        certificates)."""
        self._resolver, self._opener, self._tls = resolver, opener, tls
        self._allow_private, self._port, self._timeout_s = allow_private, port, timeout_s
        self._session: ClientSession | None = None

    async def __call__(self, url: str, limit_bytes: int) -> tuple[int, bytes]:
        """The status and the body. Raises ``Unreachable`` when there is no whole answer of at most ``limit_bytes``
        within the deadline, when the address may not be reached, and for anything but ``https``."""
        from aiohttp import ClientError
        from yarl import URL

        address = URL(url, encoded=True)
        if address.scheme != "https" or address.explicit_port is not None or address.user is not None:
            raise Unreachable("only https addresses without port and user are fetched")
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._opened().get(address, allow_redirects=False) as response,
            ):
                body = await response.content.read(limit_bytes + 1)
                while len(body) <= limit_bytes and (more := await response.content.read(limit_bytes + 1 - len(body))):
                    body += more
                if len(body) > limit_bytes:
                    raise Unreachable(f"{address.host} answers with more than {limit_bytes} bytes")
                return response.status, body
        except (ClientError, OSError, ValueError) as error:
            raise Unreachable(f"{address.host} could not be asked: {type(error).__name__}") from error

    async def stop(self) -> None:
        """Close the connections. May be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, ThreadedResolver

            self._session = ClientSession(
                connector=TCPConnector(
                    resolver=self._resolver or ThreadedResolver(),
                    socket_factory=SocketGuard(port=self._port, allow_private=self._allow_private, opener=self._opener),
                    limit=CONNECTIONS,
                    use_dns_cache=False,
                    force_close=True,
                    ssl=self._tls or True,
                ),
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=ClientTimeout(total=None),
                headers={"User-Agent": "rco", "Accept": "*/*", "Accept-Encoding": "identity"},
            )
        return self._session
