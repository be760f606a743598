"""Durations and sizes as people write them: ``250ms 5s 1m 2h 7d`` and ``512B 64KiB 1MiB 2GiB``."""

from __future__ import annotations

import re

__all__ = ["parse_duration_s", "parse_size_bytes"]

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h|d)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse_duration_s(text: str) -> float:
    """Seconds from ``250ms`` and its like. Raises ``ValueError`` that shows the accepted form."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write e.g. 250ms, 5s, 1m, 2h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size_bytes(text: str) -> int:
    """Bytes from ``64KiB`` and its like. Raises ``ValueError`` that shows the accepted form."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size; write e.g. 512B, 64KiB or 1MiB")
    return int(match[1]) * _BYTES[match[2]]
