"""Naming the rules under which due times are worked out, so that a change of them shows."""

from __future__ import annotations

from rco.kit.canonical import canonical_json
from rco.kit.digest import digest
from rco.kit.zone import ZONE_RULES
from rco.scheduler.ticks import Calendars

__all__ = ["rules_of"]


def rules_of(calendars: Calendars) -> str:
    """The version of the time zone rules, and a digest of the calendars where there are any."""
    if not calendars:
        return ZONE_RULES
    plain = {name: sorted(day.isoformat() for day in days) for name, days in calendars.items()}
    return f"{ZONE_RULES}/{digest(canonical_json(plain)).hex()[:16]}"
