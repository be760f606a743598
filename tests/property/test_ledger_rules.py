"""The ledger of a limit, under nodes that ask in any order, with clocks that lag, crash and come back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rco.egress.ledger import Ledger, decode, encode, give, hold, pace_of, period_of, slots

US = 1_000_000
START = 1_800_000_000 * US
TTL, CALL = 4 * US, 10 * US


@settings(deadline=None)
@given(
    capacity=st.integers(1, 12),
    moves=st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 20), st.integers(0, 20), st.integers(0, 3 * US), st.integers(0, US)
        ),
        max_size=60,
    ),
)
def test_permits_in_use_never_exceed_the_capacity(capacity, moves) -> None:
    book, now = Ledger(), START
    uses: dict[int, tuple[int, int]] = {}
    for node, keep, want, later, lag in moves:
        now += later
        # What is under way is kept; what is asked for is anything. A node that was silent for too long has nothing.
        held, until = uses.get(node, (0, 0))
        kept = min(keep, held if now - lag < until else 0)
        answer = hold(
            book, str(node), keep=kept, want=want, capacity=capacity, now_us=now - lag, ttl_us=TTL, call_us=CALL
        )
        held = answer[0]
        assert held >= min(kept, capacity)
        # Calls may begin for TTL, and last for CALL after it.
        uses[node] = (held, now - lag + TTL + CALL)
        assert sum(count for count, until in uses.values() if until > now) <= capacity
        book = decode(encode(book))


@settings(deadline=None)
@given(nodes=st.integers(1, 6), capacity=st.integers(1, 10))
def test_everybody_gets_permits_in_their_turn(nodes, capacity) -> None:
    book, now = Ledger(), START
    had = dict.fromkeys(range(nodes), 0)
    caps = dict.fromkeys(range(nodes), capacity)
    held = dict.fromkeys(range(nodes), 0)
    for _ in range(6 * nodes):
        for node in range(nodes):
            now += 10_000
            # Calls are short: all that should go back can.
            keep = min(held[node], caps[node])
            held[node], caps[node], _ = hold(
                book, str(node), keep=keep, want=50, capacity=capacity, now_us=now, ttl_us=TTL, call_us=CALL
            )
            had[node] += held[node]
            assert sum(held.values()) <= capacity
    assert min(had.values()) > 0
    if capacity >= nodes:
        assert min(held.values()) >= capacity // nodes


@settings(deadline=None)
@given(
    rate=st.floats(0.01, 5000),
    burst=st.integers(1, 5000),
    asks=st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 2 * US), st.integers(0, 50_000)), min_size=1, max_size=25
    ),
    late=st.lists(st.booleans(), min_size=1, max_size=50),
)
def test_slots_however_they_are_used_keep_to_the_bucket(rate, burst, asks, late) -> None:
    pace = pace_of(rate, burst)
    book, now = Ledger(), START
    used: list[float] = []
    for count, later, lag in asks:
        now += later
        first = slots(book, pace, count, now - lag)
        for number in range(count):
            at = first + number * pace.apart_us
            # At the latest it may be used, or as soon as there is one.
            used.append(at + pace.window_us if late[len(used) % len(late)] else max(at, now - lag))
    used.sort()
    tokens, before = float(burst), used[0]
    for at in used:
        tokens = min(float(burst), tokens + (at - before) * rate / US) - 1
        before = at
        assert tokens > -1e-3


@settings(deadline=None)
@given(
    limit=st.integers(1, 100),
    moves=st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 30), st.integers(0, 100), st.integers(0, 1800 * US), st.integers(0, US)
        ),
        max_size=60,
    ),
)
def test_a_budget_is_never_exceeded_in_any_period(limit, moves) -> None:
    book, now = Ledger(), START
    left: dict[tuple[int, str], int] = {}
    used: dict[str, int] = {}
    for node, want, use, later, lag in moves:
        now += later
        period = period_of("hour", now - lag)[0]
        # Some of what is left is used, and of the rest some is given back.
        mine = left.get((node, period), 0)
        spend = min(mine, use)
        used[period] = used.get(period, 0) + spend
        back = (mine - spend) // 2
        got, amount, end = give(book, "calls/hour", limit=limit, want=want, back=(period, back), now_us=now - lag)
        assert got == period
        assert amount >= 0
        assert end >= now - lag
        left[node, period] = mine - spend - back + amount
        held = sum(count for (_, of), count in left.items() if of == period)
        assert used[period] + held <= limit


def test_periods_are_utc_and_end_where_the_next_begins() -> None:
    for per in ("hour", "day", "month"):
        at = START
        for _ in range(40):
            name, end = period_of(per, at)
            assert period_of(per, end - 1)[0] == name
            assert period_of(per, end)[0] > name
            at = end
