"""The instants that a schedule names. Pure, and the only place that knows."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from rco.errors import Misuse
from rco.kit.clock import MICROS, parse_iso, read_iso
from rco.kit.cron import Cron, parse_cron
from rco.kit.zone import Repeated, Skipped, instants, load_zone, local_date, steady_midnight
from rco.model.schedule import AT_MAX, DATES_MAX, TIMINGS_MAX, ScheduleSpec

__all__ = ["Calendars", "Ticks"]

Calendars = Mapping[str, frozenset[date]]
"""Named sets of dates."""

SEARCH_DAYS = 366 * 12
"""How far ahead a tick is looked for: past 29 February, also over the end of a century."""
_LAST_US = 250_000_000_000 * MICROS
"""In the year 9892: nothing is looked for after it."""
UNEVEN_DAYS_MAX = 8
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAY = timedelta(days=1)


class Ticks:
    """The ticks of one specification, as instants in microseconds since the epoch.

    Raises ``Misuse`` for one that is not well formed: no times, an unknown zone or calendar, a field of cron that says
    nothing, a date that is none.
    """

    __slots__ = ("_at_us", "_crons", "_end_us", "_every_us", "_exclude", "_jitter_us", "_only", "_start_us", "_zone")

    def __init__(self, spec: ScheduleSpec, calendars: Calendars) -> None:
        if not (spec.cron or spec.every_s or spec.at):
            raise Misuse("the schedule names no time.", cure="Give cron, every or at.")
        for name, count, limit in (
            ("cron expressions", len(spec.cron), TIMINGS_MAX),
            ("single times", len(spec.at), AT_MAX),
            ("dates", len(spec.exclude) + len(spec.only), DATES_MAX),
        ):
            if count > limit:
                raise Misuse(f"the schedule has {count} {name}; the limit is {limit}.", cure="Make several of it.")
        try:
            zone = self._zone = load_zone(spec.zone)
            self._start_us = parse_iso(spec.start_at) if spec.start_at else -1
            self._end_us = min(parse_iso(spec.end_at), _LAST_US) if spec.end_at else _LAST_US
            if self._end_us < self._start_us:
                raise ValueError("end_at is before start_at")
            self._crons = [_Local(parse_cron(text), zone, spec) for text in spec.cron]
            self._at_us = sorted({at for text in spec.at for at in _single(text, zone, spec)})
            self._exclude = _dates(spec.exclude, calendars)
            self._only = sorted(_dates(spec.only, calendars)) if spec.only else None
        except (ValueError, OverflowError) as problem:
            raise Misuse(f"the schedule cannot be used: {problem}.", cure="See docs/how-to/schedule-runs.md.") from None
        self._every_us = round(spec.every_s * MICROS) if spec.every_s else 0
        self._jitter_us = round(spec.jitter_s * MICROS)

    def after(self, after_us: int) -> int | None:
        """The first tick later than ``after_us``; ``None`` when none comes within twelve years."""
        after_us = max(after_us, self._start_us - 1)
        limit_us = min(self._end_us, after_us + SEARCH_DAYS * 86_400 * MICROS)
        while after_us < limit_us:
            nearest = self._nearest(after_us, limit_us)
            if nearest is None or nearest > limit_us:
                return None
            if not self._exclude and self._only is None:
                return nearest
            day = local_date(self._zone, nearest // MICROS)
            following = self._following(day)
            if following == day:
                return nearest
            if following is None:
                return None
            # Nothing else of that date counts either.
            after_us = max(nearest, instants(self._zone, following, [0], "after", "once")[0] * MICROS - 1)
        return None

    def between(self, after_us: int, until_us: int) -> Iterator[int]:
        """Ticks later than ``after_us`` and up to ``until_us``, in order."""
        tick = self.after(after_us)
        while tick is not None and tick <= until_us:
            yield tick
            tick = self.after(tick)

    def fire_us(self, schedule_id: bytes, tick_us: int) -> int:
        """When the tick is to be started: the same for every asking, on every node, and before the next tick."""
        if not self._jitter_us:
            return tick_us
        following = self.after(tick_us)
        span_us = self._jitter_us if following is None else min(self._jitter_us, following - tick_us)
        drawn = blake2b(tick_us.to_bytes(8, "big", signed=True), key=schedule_id, digest_size=8).digest()
        return tick_us + (int.from_bytes(drawn, "big") * span_us >> 64)

    def _nearest(self, after_us: int, limit_us: int) -> int | None:
        found: list[int] = []
        for cron in self._crons:
            second = cron.after(after_us // MICROS, (limit_us if not found else min(found)) // MICROS)
            if second is not None:
                found.append(second * MICROS)
        if self._every_us:
            phase = max(self._start_us, 0) % self._every_us
            found.append((after_us - phase) // self._every_us * self._every_us + self._every_us + phase)
        at = bisect_right(self._at_us, after_us)
        if at < len(self._at_us):
            found.append(self._at_us[at])
        return min(found, default=None)

    def _following(self, day: date) -> date | None:
        """``day``, or the first date after it that counts."""
        if self._only is not None:
            for one in self._only[bisect_right(self._only, day - _DAY) :]:
                if one not in self._exclude:
                    return one
            return None
        while day in self._exclude:
            day += _DAY
        return day


class _Local:
    """One cron expression in a zone."""

    __slots__ = ("_cron", "_repeated", "_skipped", "_uneven", "_zone")

    def __init__(self, cron: Cron, zone: ZoneInfo, spec: ScheduleSpec) -> None:
        self._cron, self._zone = cron, zone
        self._uneven: dict[date, list[int]] = {}
        """The instants of days on which a clock changes: of the last few that were asked for."""
        self._skipped: Skipped = spec.skipped if spec.skipped != "auto" else ("skip" if cron.any_hour else "after")
        self._repeated: Repeated = spec.repeated if spec.repeated != "auto" else ("twice" if cron.any_hour else "once")

    def after(self, after_s: int, limit_s: int) -> int | None:
        """The first instant after ``after_s``, looked for up to ``limit_s``."""
        # Where a clock is set back over midnight, a time of the day before comes after one of this day.
        day = local_date(self._zone, after_s) - _DAY
        last = local_date(self._zone, limit_s) + _DAY
        while day <= last:
            found = self._on(day, after_s)
            if found is not None:
                following = self._on(day + _DAY, after_s)
                return found if following is None else min(found, following)
            day += _DAY
        return None

    def _on(self, day: date, after_s: int) -> int | None:
        cron = self._cron
        if not cron.on(day):
            return None
        midnight_s = steady_midnight(self._zone, day)
        if midnight_s is not None:
            at = bisect_right(cron.times, (after_s - midnight_s) // 60)
            return midnight_s + cron.times[at] * 60 if at < len(cron.times) else None
        all_day = self._uneven.get(day)
        if all_day is None:
            if len(self._uneven) >= UNEVEN_DAYS_MAX:
                self._uneven.clear()
            all_day = self._uneven[day] = instants(self._zone, day, cron.times, self._skipped, self._repeated)
        at = bisect_right(all_day, after_s)
        return all_day[at] if at < len(all_day) else None


def _single(text: str, zone: ZoneInfo, spec: ScheduleSpec) -> list[int]:
    """The instants of one time of ``at``: none where it is skipped and skipped times are, two where it is repeated and
    both count."""
    moment = read_iso(text)
    if moment.tzinfo is not None:
        return [parse_iso(text)]
    minute = moment.hour * 60 + moment.minute
    skipped: Skipped = "skip" if spec.skipped == "skip" else "after"
    repeated: Repeated = "twice" if spec.repeated == "twice" else "once"
    rest_us = moment.second * MICROS + moment.microsecond
    midnight_s = steady_midnight(zone, moment.date())
    if midnight_s is not None:
        return [(midnight_s + minute * 60) * MICROS + rest_us]
    found = instants(zone, moment.date(), [minute], skipped, repeated)
    return [second * MICROS + (rest_us if _shows(zone, second, minute) else 0) for second in found]


def _shows(zone: ZoneInfo, at_s: int, minute: int) -> bool:
    shown = datetime.fromtimestamp(at_s, zone)
    return shown.hour * 60 + shown.minute == minute


def _dates(texts: list[str], calendars: Calendars) -> frozenset[date]:
    found: set[date] = set()
    for text in texts:
        if _DATE.fullmatch(text):
            found.add(date.fromisoformat(text))
        elif text in calendars:
            found |= calendars[text]
        else:
            known = f"; known: {', '.join(sorted(calendars))}" if calendars else ""
            raise ValueError(f"{text!r} is neither a date (2026-12-25) nor a calendar of the configuration{known}")
    return frozenset(found)
