"""The grant: what a run holds instead of a token.

A token is a secret with a short life; a run is neither. When a run begins, its token is taken in and what it allows is
written into the run's first record: the id, the key's name and the caveats, under a *seal*, keyed BLAKE3 with a key of
its own purpose over the run's identity and all of them. Whoever reads the journal, the log or an export learns what the
run may do and can do nothing with it; whoever writes into the journal cannot give a run another right, nor one run the
rights of another.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import Any

from rco.capability.keyring import Key
from rco.kit.digest import keyed_digest, length_prefixed

__all__ = ["GRANT_FIELDS", "holds_seal", "sealed"]

GRANT_FIELDS = ("id", "kid", "caveats", "seal")


def sealed(key: Key, id: str, run_id: bytes, caveats: tuple[bytes, ...]) -> dict[str, Any]:
    """The grant as it is written down: plain data."""
    return {"id": id, "kid": key.kid, "caveats": [*_texts(caveats)], "seal": _seal(key, id, run_id, caveats)}


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
    own = length_prefixed(key.kid.encode(), id.encode(), run_id)
    return keyed_digest(key.seal_key, own + _framed(caveats)).hex()


# The same caveats stand in the grant of every run that is started for the same, so both forms are made once.
@lru_cache(maxsize=1024)
def _texts(caveats: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(caveat.decode("ascii") for caveat in caveats)


@lru_cache(maxsize=1024)
def _framed(caveats: tuple[bytes, ...]) -> bytes:
    return length_prefixed(*caveats)
