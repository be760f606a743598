"""Which requests a service fails, chosen by a seed so that a run can be repeated."""

from __future__ import annotations

import hashlib
from enum import StrEnum

__all__ = ["BUSY_SHARE", "LOST_SHARE", "Fault", "choose_fault"]

BUSY_SHARE = 0.10
"""Share of requests that are answered 503, with nothing done."""
LOST_SHARE = 0.02
"""Share of requests whose work is done and whose answer does not come before the caller has given up."""


class Fault(StrEnum):
    NONE = ""
    BUSY = "busy"
    ANSWER_LOST = "answer_lost"


def choose_fault(seed: int, service: str, about: str, attempt: int) -> Fault:
    """The fault of the ``attempt``-th request about the same thing: always the same for the same four values."""
    text = f"{seed}|{service}|{about}|{attempt}".encode()
    draw = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64
    if draw < BUSY_SHARE:
        return Fault.BUSY
    return Fault.ANSWER_LOST if draw < BUSY_SHARE + LOST_SHARE else Fault.NONE
