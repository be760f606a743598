"""One target's connections, and one request with its answer over one of them.

The pool, the addresses, TLS, the parser and the flow of the body are the HTTP client's. What its session does beside
that (cookies, redirects, repeats, forms, proxies, a task to write with) is not wanted here, so it is not asked: a
request is its head and its body, written in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionError, ClientRequest, ClientTimeout, TCPConnector
from aiohttp.connector import Connection
from yarl import URL

if TYPE_CHECKING:
    from aiohttp import StreamReader
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from multidict import CIMultiDictProxy

__all__ = ["Reply", "Wire"]

_HEADER_LINE_BYTES = 8190
_HEADER_COUNT = 100
_NO_TIMEOUT = ClientTimeout(total=None, sock_connect=None)
_between, _colon = "\r\n".join, ": ".join
_NO_CONTENT = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods whose request says nothing about the length of a body that it does not have."""


class Reply:
    """An answer whose head is here. Give it back with ``end``, once."""

    __slots__ = ("_connection", "content", "headers", "method", "status")

    def __init__(
        self,
        method: str,
        status: int,
        headers: CIMultiDictProxy[str],
        content: StreamReader,
        connection: Connection,
    ) -> None:
        self.method, self.status, self.headers, self.content = method, status, headers, content
        self._connection = connection

    @property
    def content_length(self) -> int | None:
        """The length of the body as it was declared. Raises ``ValueError`` for what is no number."""
        declared = self.headers.get("Content-Length")
        return None if declared is None else int(declared)

    def end(self) -> None:
        """Keep the connection for the next request if nothing of this one is left on it; else close it."""
        connection = self._connection
        transport = connection.transport
        if transport is not None and self.content.is_eof() and not transport.get_write_buffer_size():
            connection.release()
        else:
            connection.close()


class _Asking(ClientRequest):
    """What the connector wants to know of a request: where it goes. The same for all."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        return super().connection_key


class Wire:
    """Belongs to one event loop."""

    __slots__ = ("_asking", "_connector", "_head", "_kept_most")

    def __init__(self, connector: TCPConnector, url: str, kept_most: int) -> None:
        """``url`` is where every request goes, but for its path. ``kept_most``: connections that ``connector`` keeps
        open at most."""
        where = URL(url, encoded=True)
        self._connector, self._kept_most = connector, kept_most
        self._asking = _Asking("GET", where)
        self._head = f" HTTP/1.1\r\nHost: {where.host_port_subcomponent}"

    async def close(self) -> None:
        """Close every connection, those in use too. May be called twice."""
        await self._connector.close()

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, leaves: Callable[[], None]
    ) -> Reply:
        """Send one request and wait for the head of its answer. It is sent once, whatever becomes of it.

        ``leaves`` is called when there is a connection and nothing has been written yet; what it raises is raised, and
        nothing is sent. Raises ``ClientError``, ``OSError`` or ``HttpProcessingError`` when there is no answer, and
        ``ValueError`` for a head that would be read as something else; the connection is closed then, and when it is
        cancelled.
        """
        head = self._written(method, path, headers, body)
        connection = await self._connected()
        try:
            protocol = connection.protocol
            assert protocol is not None
            assert protocol.transport is not None
            leaves()
            protocol.set_response_params(
                skip_payload=method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                max_line_size=_HEADER_LINE_BYTES,
                max_field_size=_HEADER_LINE_BYTES,
                max_headers=_HEADER_COUNT,
            )
            protocol.transport.write(head if body is None else head + body)
            while True:
                message, content = await protocol.read()
                # Interim answers (RFC 9110 section 15.2) but for a change of protocol, after which nothing comes.
                if not 100 <= message.code < 200 or message.code == 101:
                    return Reply(method, message.code, message.headers, content, connection)
        except BaseException:
            connection.close()
            raise

    async def _connected(self) -> Connection:
        """A connection on which nothing waits to be read.

        What comes on one that nobody asks would be taken as the answer to the next request.
        """
        connector = self._connector
        for _ in range(self._kept_most + 1):
            if connector.closed:
                break
            connection = await connector.connect(self._asking, [], _NO_TIMEOUT)
            protocol: ResponseHandler | None = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection
            connection.close()
        raise ClientConnectionError("no connection that can be used")

    def _written(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        lines = len(headers) + 2
        ends = "\r\n"
        if body is not None:
            ends = f"\r\nContent-Length: {len(body)}\r\n"
            lines += 1
        elif method not in _NO_CONTENT:
            ends = "\r\nContent-Length: 0\r\n"
            lines += 1
        head = _between((method + " " + path + self._head, *map(_colon, headers.items()))) + ends
        # Each line was checked where it came from. A line more than were meant would be a request of somebody else's.
        if head.count("\n") != lines or head.count("\r") != lines or "\0" in head or " " in path:
            raise ValueError("a header's value or the path holds a line break, a zero or a blank")
        return (head + "\r\n").encode()
