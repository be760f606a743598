"""The address guard on the socket itself.

A name says nothing about where a connection goes: it may resolve to something else the next time, hide behind a CNAME,
or be no name at all (``0x7f000001`` and ``127。0。0。1`` become addresses without anybody being asked).
So the final socket address is judged, at the one place that every connection passes, before the socket exists.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

from rco.egress.addresses import Network, judge

if TYPE_CHECKING:
    from aiohttp import AddrInfoType

__all__ = [
    "BAD_PORTS",
    "JOURNEY",
    "AddressRefused",
    "Journey",
    "NotOursToSend",
    "OpenSocket",
    "SocketGuard",
    "open_socket",
]

OpenSocket = Callable[["AddrInfoType"], socket.socket]

BAD_PORTS: frozenset[int] = frozenset(
    (
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515),
        *(526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049),
        *(3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    )
)
"""Ports on which something other than HTTP listens and may be talked into something by an HTTP request.

The list of the Fetch standard (https://fetch.spec.whatwg.org/#port-blocking).
"""


class NotOursToSend(Exception):
    """The hold on what the request is for has run out while a connection was waited for."""


class Journey:
    """How far one attempt has come: what its failure means depends on it."""

    __slots__ = ("may_send", "refused", "sent")

    def __init__(self, may_send: Callable[[], bool] = lambda: True) -> None:
        self.may_send = may_send
        """Asked when there is a connection, just before the request is written to it."""
        self.sent = False
        """A connection was there and the request was being written to it."""
        self.refused = ""
        """Why the guard refused an address, when it did."""

    def leaves(self) -> None:
        """The request is about to be written: from now on the other side may have seen something. Raises
        ``NotOursToSend`` when it may not be."""
        if not self.may_send():
            raise NotOursToSend
        self.sent = True


JOURNEY: ContextVar[Journey] = ContextVar("rco_egress_journey")
"""The attempt on whose behalf a socket is opened. Tasks made while connecting inherit it."""


class AddressRefused(OSError):
    """The guard refused a socket address. An ``OSError``, so that a connector goes on to the next address."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(errno.EACCES, f"address refused: {reason}")


def open_socket(info: AddrInfoType) -> socket.socket:
    """A TCP socket for ``info``, not connected."""
    family, kind, proto, _, _ = info
    return socket.socket(family=family, type=kind, proto=proto)


class SocketGuard:
    """A socket factory bound to one target: its networks, its port. It must never serve a pool of another target."""

    __slots__ = ("_allowed", "_open", "_port")

    def __init__(self, *, port: int, allow_private: Sequence[Network], opener: OpenSocket = open_socket) -> None:
        self._port, self._allowed, self._open = port, allow_private, opener

    def __call__(self, info: AddrInfoType) -> socket.socket:
        """A socket for ``info``. Raises ``AddressRefused`` before there is one when it may not be reached."""
        reason = self._judge(info)
        if reason is None:
            return self._open(info)
        journey = JOURNEY.get(None)
        if journey is not None:
            journey.refused = reason
        raise AddressRefused(reason)

    def _judge(self, info: AddrInfoType) -> str | None:
        family, kind, _, _, sockaddr = info
        if family not in (socket.AF_INET, socket.AF_INET6) or kind != socket.SOCK_STREAM:
            return "not_tcp"
        host, port = sockaddr[0], sockaddr[1]
        if not isinstance(host, str) or not isinstance(port, int):
            return "not_an_address"
        if len(sockaddr) == 4 and sockaddr[3]:
            return "scoped"
        if port != self._port or port in BAD_PORTS:
            return "port"
        return judge(host, self._allowed)
