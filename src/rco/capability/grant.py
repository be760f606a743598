"""The grant: what a run holds instead of a token.

A token is a secret with a short life; a run is neither. When a run begins, its token is taken in and what it allows is
written into the run's first record: the id, the key's name and the caveats, under a *seal*, keyed BLAKE3 with a key of
its own purpose over the run's identity and all of them. Whoever reads the journal, the log or an export learns what the
run may do and can do nothing with it; whoever writes into the journal cannot give a run another right, nor one run the
rights of another.
"""

from __future__ import annotations

import hmac
from typing import Any

from rco.capability.keyring import Key
from rco.kit.digest import keyed_digest, length_prefixed

__all__ = ["GRANT_FIELDS", "holds_seal", "sealed"]

GRANT_FIELDS = ("id", "kid", "caveats", "seal")


def sealed(key: Key, id: str, run_id: bytes, caveats: tuple[bytes, ...]) -> dict[str, Any]:
    """The grant as it is written down: plain data."""
    texts = [caveat.decode("ascii") for caveat in caveats]
    return {"id": id, "kid": key.kid, "caveats": texts, "seal": _seal(key, id, run_id, caveats)}


def holds_seal(key: Key, grant: dict[str, Any], run_id: bytes) -> tuple[bytes, ...] | None:
    """The caveats of ``grant`` when its seal is that of ``run_id`` under ``key``, else ``None``. Raises nothing."""
    try:
        caveats = tuple(text.encode("ascii") for text in grant["caveats"])
        seal, id = grant["seal"], grant["id"]
        if set(grant) != set(GRANT_FIELDS) or not isinstance(seal, str) or not isinstance(id, str):
            return None
        expected = _seal(key, id, run_id, caveats)
    except (KeyError, TypeError, AttributeError, UnicodeError):
        return None
    return caveats if hmac.compare_digest(expected.encode(), seal.encode()) else None


def _seal(key: Key, id: str, run_id: bytes, caveats: tuple[bytes, ...]) -> str:
    return keyed_digest(key.seal_key, length_prefixed(key.kid.encode(), id.encode(), run_id, *caveats)).hex()
