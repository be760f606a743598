"""How evidence is hashed: the digest of a journal segment and the hash of a link. Pure, and all there is to know.

Both are BLAKE3-256 over parts that each stand behind their length (4 bytes, big-endian), the first part being a domain
name, so that no two different things can give the same bytes. Numbers are unsigned, 8 bytes, big-endian::

    leaf = BLAKE3(parts("rco journal segment v1", run id, first_seq, data))
    hash = BLAKE3(parts("rco seal v1", prev, writer, n, epoch, at_us, leaves, decisions))
    heads = BLAKE3(parts("rco heads v1", chain, hash of its last link, chain, hash, ...))

Another implementation needs BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs) and these lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from blake3 import blake3

from rco.kit.digest import DIGEST_BYTES, length_prefixed

__all__ = ["GENESIS", "RUN_ID_BYTES", "heads_hash", "leaf_digest", "link_hash"]

GENESIS = bytes(DIGEST_BYTES)
"""What stands for the hash before the first link."""
RUN_ID_BYTES = 16

_LEAF_DOMAIN = b"rco journal segment v1"
_SEAL_DOMAIN = b"rco seal v1"

# The layout of all that stands before a segment's data never changes, so it is packed in one go: this runs for every
# segment of every commit. It gives the bytes of ``length_prefixed``; a test compares the two.
_leaf_head = Struct(f"!{4 + len(_LEAF_DOMAIN) + 4}s{RUN_ID_BYTES}sIQI").pack
_leaf_start = len(_LEAF_DOMAIN).to_bytes(4, "big") + _LEAF_DOMAIN + RUN_ID_BYTES.to_bytes(4, "big")
_seal_start = len(_SEAL_DOMAIN).to_bytes(4, "big") + _SEAL_DOMAIN + DIGEST_BYTES.to_bytes(4, "big")
_seal_numbers = Struct("!IQIQIQI").pack


def leaf_digest(run_id: bytes, first_seq: int, data: bytes) -> bytes:
    """The 32-byte digest of one journal segment. Raises ``ValueError`` when ``run_id`` is not 16 bytes long."""
    if len(run_id) != RUN_ID_BYTES:
        raise ValueError(f"a run id has {RUN_ID_BYTES} bytes, not {len(run_id)}; give the binary form, not the text")
    return blake3(_leaf_head(_leaf_start, run_id, 8, first_seq, len(data)) + data).digest()


def link_hash(*, prev: bytes, writer: str, n: int, epoch: int, at_us: int, leaves: bytes, decisions: bytes) -> bytes:
    """The 32-byte hash of a link. Raises ``ValueError`` when ``prev`` or ``leaves`` are not whole digests."""
    if len(prev) != DIGEST_BYTES or len(leaves) % DIGEST_BYTES:
        raise ValueError(
            f"prev has {len(prev)} bytes and leaves {len(leaves)}; "
            f"needs {DIGEST_BYTES} and a multiple of {DIGEST_BYTES}: whole digests only"
        )
    name = writer.encode()
    return blake3(
        b"".join(
            (
                _seal_start,
                prev,
                len(name).to_bytes(4, "big"),
                name,
                _seal_numbers(8, n, 8, epoch, 8, at_us, len(leaves)),
                leaves,
                len(decisions).to_bytes(4, "big"),
                decisions,
            )
        )
    ).digest()


def heads_hash(heads: Iterable[tuple[str, bytes]]) -> bytes:
    """One hash over the last links of several chains, in their order: what to note down of them all."""
    parts = [part for chain, head in heads for part in (chain.encode(), head)]
    return blake3(length_prefixed(b"rco heads v1", *parts)).digest()
