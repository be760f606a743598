"""Verifiers of a service that keeps nothing: made when they are needed, forgotten on a timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from rco.bridge.contract import Answered, Errand, Handshake, Headers, Verifier
from rco.bridge.decompression import Expand
from rco.bridge.passing import LargeVerifier, Passing
from rco.errors import ConfigInvalid, Reason, Refused
from rco.model.delivery import Delivery

__all__ = ["AmnesiaOptions", "Forgetful"]


class AmnesiaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge that is in memory only: one process, no file, everything gone at its stop. Changes with a restart."""

    enabled: bool = False
    """The store is memory, and nothing is written to any file: no token, no key, no note of the process."""
    purge_s: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
    """Secrets and the keys made of them are forgotten this often, and read again by reference when they are needed."""
    admin_token: str = ""
    """A reference to the administrator's token: `env:NAME` or `file:/path`, of at least 32 characters."""
    print_token: bool = False
    """Make an administrator's token and print it once, on standard output. With neither there is no administrator."""
    untimed: Literal["refuse", "accept"] = "refuse"
    """Senders that sign no time: what was recognised as a repeat is forgotten with the process, so such a request may
    come in once more after each start. `refuse`: they stop the start; `accept`: they are let in all the same."""


class Forgetful:
    """A verifier with its secrets in memory only for as long as they are used. Implements ``Verifier``, but for I/O: it
    reads its secrets again after ``forget``.

    What was signed before ``since_us`` is refused: who took it then is not known any more. A signed time is mostly of
    whole seconds, so what is signed in the very second of the start is refused too; its sender tries again.
    """

    __slots__ = ("_inner", "_make", "_since_us")

    def __init__(self, make: Callable[[], Verifier], since_us: int, made: Verifier | None = None) -> None:
        self._make, self._since_us, self._inner = make, since_us, made

    @property
    def holds(self) -> bool:
        """Whether secrets are in memory now."""
        return self._inner is not None

    def forget(self) -> None:
        """Let go of the verifier and of its secrets. A request that is being verified is not disturbed."""
        self._inner = None

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery | Answered | Handshake | Errand:
        """See ``Verifier.verify``. Raises ``Refused`` besides: ``POLICY_BLOCKED`` (``before_start``), and
        ``DOWNSTREAM_UNAVAILABLE`` (``secret_unreadable``) where its secrets cannot be read any more."""
        found = self._held().verify(headers, body, now_us, corr_id, expand)
        delivery = found.delivery if isinstance(found, Answered) else found
        if isinstance(delivery, Delivery) and delivery.event.time_us < self._since_us:
            raise Refused(Reason.POLICY_BLOCKED, "before_start")
        return found

    def begin(self, headers: Headers, length_bytes: int | None, now_us: int, corr_id: str) -> Passing:
        """See ``LargeVerifier.begin``, and ``verify``. Only where the kind can do it."""
        passing = cast("LargeVerifier", self._held()).begin(headers, length_bytes, now_us, corr_id)
        passing.earliest_us = self._since_us
        return passing

    def _held(self) -> Verifier:
        inner = self._inner
        if inner is None:
            try:
                inner = self._inner = self._make()
            except ConfigInvalid:
                raise Refused(Reason.DOWNSTREAM_UNAVAILABLE, "secret_unreadable", retry_after_s=1.0) from None
        return inner
