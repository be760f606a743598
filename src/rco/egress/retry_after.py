"""The ``Retry-After`` header (RFC 9110 section 10.2.3), read with suspicion: anybody can write it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["RETRY_AFTER_CAP_S", "retry_after_s"]

RETRY_AFTER_CAP_S = 3600.0
"""No answer closes a target for longer than this."""

_SECONDS = re.compile(r"[0-9]{1,12}")


def retry_after_s(values: Sequence[str], now_us: int) -> float | None:
    """Seconds to wait, above 0 and at most ``RETRY_AFTER_CAP_S``, or ``None`` when the header says nothing usable.

    ``values`` are all the header's values: with more than one, none is believed. Seconds are ASCII digits only, so
    ``-1``, ``1e9``, ``nan`` and twenty digits count for nothing; a date in the past is no wait.
    """
    if len(values) != 1:
        return None
    text = values[0].strip(" \t")
    if _SECONDS.fullmatch(text):
        wait_s = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            wait_s = moment.timestamp() - now_us / 1e6
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(wait_s, RETRY_AFTER_CAP_S) if wait_s > 0 else None
