"""The ledger of one limit, which all nodes share: who holds how many permits, the next free slot, what of each budget.

Pure: states in, states out. Whoever changes a ledger has read it, and writes it by compare and swap, so every rule here
sees one history of changes whatever nodes and wires do. All times are microseconds of the database's clock. A time that
is a little behind the true one does no harm: holders count as alive for longer, and slots end earlier.

*Permits* are held in blocks, for a time that is renewed, and after it for as long as the longest call may take: only
then is it certain that nothing of a silent node is under way. *Slots* are moments ``1/rate`` apart, each good for a
window as long as the burst takes to fill up: however late a slot is used within it, no more calls leave than a bucket
of that rate and burst would let go. *Budgets* are given away for good within their period; what a node gives back
counts again, what a dead node had is lost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from rco.kit.clock import MICROS

__all__ = [
    "FRESH_US",
    "Held",
    "Ledger",
    "Pace",
    "Spent",
    "decode",
    "encode",
    "give",
    "hold",
    "pace_of",
    "period_of",
    "slots",
]

FRESH_US = 2 * MICROS
"""So long after its last word a node that waits still counts as one."""
_FORGET_US = 60 * MICROS
_TRANSIT_S = 0.05
_WINDOW_S = 0.25


class Held(msgspec.Struct, omit_defaults=True):
    """One node's part. ``since_us``: since when it waits for more than it holds; 0: it does not."""

    held: int = 0
    wanted: int = 0
    since_us: int = 0
    until_us: int = 0
    seen_us: int = 0


class Spent(msgspec.Struct):
    """How much of a budget was given away in a period."""

    period: str
    given: int


class Ledger(msgspec.Struct, omit_defaults=True):
    """What is written down. ``turn`` and ``by`` make each version different from every other."""

    by: str = ""
    turn: int = 0
    next_us: int = 0
    holders: dict[str, Held] = {}
    spent: dict[str, Spent] = {}


class Pace(msgspec.Struct, frozen=True):
    """How slots of a rate are laid: so far apart, each good for so long. One that is good for less than ``reach_us``
    from now on is of no use to anybody any more."""

    apart_us: float
    window_us: int
    reach_us: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Ledger).decode


def encode(ledger: Ledger) -> bytes:
    return _encode(ledger)


def decode(body: bytes) -> Ledger:
    return _decode(body)


def pace_of(rate_per_s: float, burst: float, hit_s: float = 0.0) -> Pace:
    """Slots that somebody can use who hits a window of ``hit_s``, as far as the store's clock is known to them.

    A bucket allows ``n`` calls within ``(n-burst)/rate``. Calls of slots that are good for ``w`` and on their way for
    up to ``t`` can be ``n`` within the distance of the first and the last slot less ``w + t``. With ``1/rate`` between
    slots there is room for ``w + t = (burst-1)/rate``; where more is needed, what follows is laid as much further away.
    So a burst of 1 over a slow store costs some of the rate, and never exceeds it.
    """
    apart_s = 1 / rate_per_s
    room_s = (burst - 1) * apart_s
    transit_s = min(_TRANSIT_S, max(0.1 * apart_s, 0.1 * room_s))
    window_s = room_s - transit_s
    least_s = max(hit_s, min(_WINDOW_S, 0.1 * apart_s))
    if window_s < least_s:
        apart_s, window_s = apart_s + least_s - window_s, least_s
    reach_s = min(window_s, hit_s + min(_TRANSIT_S, window_s / 5))
    return Pace(apart_s * MICROS, int(window_s * MICROS), int(reach_s * MICROS))


def slots(ledger: Ledger, pace: Pace, count: int, now_us: int) -> int:
    """Take ``count`` slots; the first one's beginning. They follow ``pace.apart_us`` apart."""
    first_us = max(ledger.next_us, now_us - pace.window_us + pace.reach_us)
    ledger.next_us = first_us + -int(-pace.apart_us * count // 1)
    return first_us


def hold(
    ledger: Ledger, who: str, *, keep: int, want: int, capacity: int, now_us: int, ttl_us: int, call_us: int
) -> tuple[int, int, int]:
    """Hold on to ``keep`` permits and get up to ``want``. ``keep`` is at least what is under way.

    Gives (held, the most that should be held by and by, the share of each node that wants some). Where nodes wait,
    whoever waits longest is served first, and who has more than its share is told to let go; where there are fewer
    permits than nodes, they go round.
    """
    holders = ledger.holders
    for name, one in list(holders.items()):
        if one.until_us <= now_us:
            one.held = 0
            if one.seen_us < now_us - _FORGET_US:
                del holders[name]
    mine = holders.setdefault(who, Held())
    keep = min(keep, mine.held)
    others = [one for name, one in holders.items() if name != who]
    rivals = [one for one in others if one.wanted > one.held and one.seen_us > now_us - FRESH_US]
    wanting = sum(one.wanted > 0 and one.seen_us > now_us - FRESH_US for one in others) + (want > 0)
    share = capacity // max(1, wanting)
    free = capacity - sum(one.held for one in others) - keep
    # Who has had some begins to wait anew, or the first one would be the first for ever.
    since_us = now_us if mine.held else mine.since_us or now_us
    most = want
    if rivals:
        most = min(want, max(keep, share, 1))
        fair = max(1, share)
        free -= sum(max(0, min(one.wanted, fair) - one.held) for one in rivals if one.since_us < since_us)
    held = keep + max(0, min(most - keep, free))
    mine.held, mine.wanted = held, want
    mine.since_us = since_us if want > held else 0
    mine.until_us, mine.seen_us = max(mine.until_us, now_us + ttl_us + call_us), now_us
    starving = any(one.held < max(1, share) for one in rivals)
    # What has just been given may be used for a turn.
    return held, (share if starving and held <= keep else capacity), share


def give(
    ledger: Ledger, key: str, *, limit: int, want: int, back: tuple[str, int], now_us: int
) -> tuple[str, int, int]:
    """Up to ``want`` of a budget, after ``back`` (period, amount) is given back.

    Gives (the period, how much, when it ends). Nothing of a period is ever given beyond ``limit``.
    """
    period, end_us = period_of(key.partition("/")[2], now_us)
    spent = ledger.spent.get(key)
    if spent is None or spent.period < period:
        spent = ledger.spent[key] = Spent(period, 0)
    elif spent.period > period:
        # Our idea of the time lags behind that of whoever has begun the next one: ask again.
        return period, 0, now_us
    if back[0] == period:
        spent.given = max(0, spent.given - back[1])
    amount = max(0, min(want, limit - spent.given))
    spent.given += amount
    return period, amount, end_us


def period_of(per: str, at_us: int) -> tuple[str, int]:
    """The hour, day or month of UTC that holds ``at_us``, and when it ends."""
    at = datetime.fromtimestamp(at_us // MICROS, UTC).replace(minute=0, second=0)
    if per == "hour":
        return at.strftime("%Y-%m-%dT%H"), round((at + timedelta(hours=1)).timestamp()) * MICROS
    at = at.replace(hour=0)
    if per == "day":
        return at.strftime("%Y-%m-%d"), round((at + timedelta(days=1)).timestamp()) * MICROS
    following = (at.replace(day=28) + timedelta(days=4)).replace(day=1)
    at = at.replace(day=1)
    return at.strftime("%Y-%m"), round(following.timestamp()) * MICROS
