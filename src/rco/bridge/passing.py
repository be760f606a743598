"""A body that is too large to be held: proven while it passes, and known afterwards by where it is kept.

What is signed is computed as the pieces come, so nothing of the body has to stay in memory; and nothing of it is
looked into, before the signature holds or after. Only schemes whose event needs nothing of the body can do this.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from rco.bridge.claim import Claims
from rco.bridge.contract import Headers
from rco.bridge.secrets import active
from rco.bridge.signature import Signer, unauth
from rco.errors import Reason, Refused
from rco.kit.digest import KeyedDigest
from rco.model.delivery import Delivery

__all__ = ["Kept", "LargeVerifier", "Passing", "Proven", "reference"]


class Kept(msgspec.Struct, frozen=True):
    """Where a body is kept and what it is: what an event holds in place of it."""

    address: str
    size_bytes: int
    content_type: str


class _Reference(msgspec.Struct, frozen=True):
    dataref: Kept


def reference(kept: Kept) -> bytes:
    """The data of an event whose body is kept elsewhere: ``{"dataref": {"address", "size_bytes", "content_type"}}``."""
    return msgspec.json.encode(_Reference(kept))


class Proven(msgspec.Struct, frozen=True):
    """Which secret signed, and what makes the delivery unique."""

    secret_id: str
    claim: bytes


class Passing:
    """One body on its way in: ``add`` each piece, then ask for the ``delivery`` once. No I/O.

    ``able`` are the secrets that may have signed ``before``, the body and ``after``; ``candidates`` are well formed.
    The time of the request is that of its head: a secret that ends while the body comes still counts. ``claim`` is
    given where what makes the delivery unique is signed in the head; without it, it is what was signed, whose length
    ``length_bytes`` of the body makes known beforehand. Where that is not announced (``None``), what is signed must be
    given once more, when its length is known: see ``uncounted``.
    """

    __slots__ = (
        "_after",
        "_before",
        "_candidates",
        "_claim",
        "_claims",
        "_encode",
        "_form",
        "_hasher",
        "_left_bytes",
        "_macs",
        "_matched",
        "_status",
        "earliest_us",
    )

    def __init__(
        self,
        able: Sequence[Signer],
        *,
        now_us: int,
        length_bytes: int | None,
        claims: Claims,
        encode: Callable[[bytes], bytes],
        candidates: Sequence[bytes],
        status: int,
        form: Callable[[Proven, Kept], Delivery],
        before: bytes = b"",
        after: bytes = b"",
        claim: bytes = b"",
    ) -> None:
        """Raises ``Refused`` (``no_active_secret``)."""
        self._macs = [(one.secret.secret_id, one.keyed.copy()) for one in able if active(one.secret, now_us)]
        if not self._macs:
            raise unauth("no_active_secret", status)
        for _, mac in self._macs:
            mac.update(before)
        self._before, self._after, self._left_bytes = before, after, length_bytes
        self._claim, self._claims, self._matched = claim, claims, ""
        self._hasher: KeyedDigest | None = None
        if not claim and length_bytes is not None:
            self.count(length_bytes)
        self._encode, self._candidates, self._status, self._form = encode, tuple(candidates), status, form
        self.earliest_us = 0
        """What was signed before is refused (``rco.bridge.forgetful``)."""

    @property
    def uncounted(self) -> bool:
        """Whether what makes the delivery unique is still to be counted: ``count`` the body's length, then ``recount``
        each piece of it once more."""
        return not self._claim and self._hasher is None

    def count(self, length_bytes: int) -> None:
        """So long the body is."""
        self._hasher = self._claims.passing(len(self._before) + length_bytes + len(self._after))
        self._hasher.add(self._before)

    def recount(self, piece: bytes) -> None:
        """The next piece of a body that has passed before."""
        assert self._hasher is not None
        self._hasher.add(piece)

    def add(self, piece: bytes) -> None:
        """The next piece of the body, as it came."""
        if self._left_bytes is not None:
            self._left_bytes -= len(piece)
        for _, mac in self._macs:
            mac.update(piece)
        if self._hasher is not None:
            self._hasher.add(piece)

    def prove(self) -> None:
        """All of the body has passed: raise ``Refused`` where nobody known has signed it. A second call changes
        nothing."""
        if self._left_bytes:
            raise Refused(Reason.MALFORMED, "body_length")
        if self._matched:
            return
        for secret_id, mac in self._macs:
            mac.update(self._after)
            expected = self._encode(mac.digest())
            # Every secret and every candidate, whatever matched before, and each in constant time.
            for candidate in self._candidates:
                if hmac.compare_digest(expected, candidate) and not self._matched:
                    self._matched = secret_id
        if not self._matched:
            raise unauth("sig_mismatch", self._status)

    def delivery(self, kept: Kept) -> Delivery:
        """The delivery that the request is, with ``kept`` in place of its body. Raises ``Refused`` as
        ``Verifier.verify`` does, and ``MALFORMED`` (``body_length``) when not all of the body has passed."""
        self.prove()
        claim = self._claim
        if self._hasher is not None:
            self._hasher.add(self._after)
            claim = self._hasher.digest()
        delivery = self._form(Proven(self._matched, claim), kept)
        if delivery.event.time_us < self.earliest_us:
            raise Refused(Reason.POLICY_BLOCKED, "before_start")
        return delivery


class LargeVerifier(Protocol):
    """What a verifier implements besides ``Verifier`` where its kind can prove a body that is not held."""

    def begin(self, headers: Headers, length_bytes: int | None, now_us: int, corr_id: str) -> Passing:
        """The proof of a request whose body of ``length_bytes`` (``None``: not announced) is still to come. Raises
        ``Refused`` for what shows in the head already: no signature, or one that is malformed."""
        ...
