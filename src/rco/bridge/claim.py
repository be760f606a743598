"""What makes a delivery unique, so that a repeat of it is recognised.

A claim is keyed BLAKE3 over length-prefixed parts. The key is a public constant: it separates claims from every other
digest in RCO, and it stays the same over restarts and secret rotations, as a repeat may come after either.
"""

from __future__ import annotations

from rco.kit.digest import KeyedDigest, digest, keyed_digest, length_prefixed

__all__ = ["Claims"]

_KEY = digest(b"rco.bridge.claim.v1")


class Claims:
    """The claims of one provider: 32 bytes each."""

    __slots__ = ("_of_bytes", "_of_id")

    def __init__(self, provider: str) -> None:
        self._of_id = length_prefixed(b"id", provider.encode())
        self._of_bytes = length_prefixed(b"bytes", provider.encode())

    def of_id(self, delivery_id: bytes) -> bytes:
        """For schemes that sign the delivery's identity: the same for every retry, whatever time it is signed with."""
        return keyed_digest(_KEY, self._of_id + len(delivery_id).to_bytes(4, "big") + delivery_id)

    def of_bytes(self, signed: bytes) -> bytes:
        """For schemes that do not: over the signed bytes themselves, as all else can be edited by who replays."""
        return keyed_digest(_KEY, self._of_bytes + len(signed).to_bytes(4, "big") + signed)

    def passing(self, length_bytes: int) -> KeyedDigest:
        """``of_bytes`` of ``length_bytes`` signed bytes that come in pieces: the same claim, so that no change of
        framing or of a limit makes a new delivery of an old one."""
        return KeyedDigest(_KEY, self._of_bytes + length_bytes.to_bytes(4, "big"))

    def of_id_or_bytes(self, delivery_id: bytes, signed: bytes) -> bytes:
        """For schemes that sign an identity with the rest where there is one: over ``signed`` when it is empty."""
        return self.of_id(delivery_id) if delivery_id else self.of_bytes(signed)
