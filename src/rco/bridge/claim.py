"""What makes a delivery unique, so that a repeat of it is recognised.

A claim is keyed BLAKE3 over length-prefixed parts. The key is a public constant: it separates claims from every other
digest in RCO, and it stays the same over restarts and secret rotations, as a repeat may come after either.
"""

from __future__ import annotations

from rco.kit.digest import digest, keyed_digest, length_prefixed

__all__ = ["claim_of_bytes", "claim_of_id"]

_KEY = digest(b"rco.bridge.claim.v1")


def claim_of_id(provider: str, delivery_id: bytes) -> bytes:
    """For schemes that sign the delivery's identity: the same for every retry, whatever time it is signed with."""
    return keyed_digest(_KEY, length_prefixed(b"id", provider.encode(), delivery_id))


def claim_of_bytes(provider: str, signed: bytes) -> bytes:
    """For schemes that do not: over the signed bytes themselves, as anything else can be edited by who replays."""
    return keyed_digest(_KEY, length_prefixed(b"bytes", provider.encode(), signed))
