"""What a signal is."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Kind", "Signal"]


class Kind(StrEnum):
    """How a signal behaves: only up, up and down, or a distribution."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be measured. ``buckets`` are upper bounds in the unit of the name, for histograms only."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
