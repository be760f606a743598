"""A deployment that a drill meets from outside: its address, and what is needed to send to it and to look at it."""

from __future__ import annotations

import msgspec

from rco.client import Client

__all__ = ["Deployment"]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Holds secrets; has no ``repr`` of them."""

    url: str
    metrics_url: str
    provider: str
    secret: str
    token: str
    """Of a principal who may read events."""
    put_token: str = ""

    def __repr__(self) -> str:
        return f"Deployment({self.url!r})"

    def client(self) -> Client:
        return Client(self.url, self.token)
