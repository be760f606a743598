"""From which address a request comes."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from rco.bridge.callers import caller_key
from rco.server.framing import Scope

__all__ = ["CallerOf"]

_FORWARDED = b"x-forwarded-for"
HOPS_CAP = 16


class CallerOf:
    """Tells the caller of a request: the other end of its connection.

    What ``X-Forwarded-For`` says counts only where the other end is one of ``proxies`` (networks of our own), and then
    only as far as its last entry that none of them is: anything before it is what a stranger wrote. Raises
    ``ValueError`` for what is not a network.
    """

    __slots__ = ("_proxies",)

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        self._proxies: list[IPv4Network | IPv6Network] = [ip_network(one) for one in proxies]

    def __call__(self, scope: Scope) -> str:
        """The caller as ``caller_key`` counts it; empty when the server does not know."""
        client = scope.get("client")
        peer: str = client[0] if client else ""
        if self._proxies and self._ours(peer):
            peer = self._before_us(scope["headers"], peer)
        return caller_key(peer)

    def _before_us(self, headers: list[tuple[bytes, bytes]], peer: str) -> str:
        said = b",".join(value for name, value in headers if name == _FORWARDED).split(b",")
        for entry in reversed(said[-HOPS_CAP:]):
            text = entry.strip().decode("latin-1")
            if _parsed(text) is None:
                # Our own proxy would not have written this, so whoever did stands before it.
                return peer
            peer = text
            if not self._ours(text):
                return peer
        return peer

    def _ours(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._proxies)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return parsed if mapped is None else mapped
