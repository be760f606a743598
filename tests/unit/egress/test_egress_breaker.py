from rco.egress.breaker import CircuitBreaker, Phase, Shut, Ticket
from rco.model.target import Breaker

RULES = Breaker(failure_ratio=0.5, min_calls=4, window_s=10.0, open_s=5.0)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        ticket = breaker.admit()
        assert isinstance(ticket, Ticket)
        breaker.failed(ticket)


def succeed(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        ticket = breaker.admit()
        assert isinstance(ticket, Ticket)
        breaker.succeeded(ticket)


def test_it_opens_at_the_ratio_and_not_before_enough_calls(clock) -> None:
    breaker = CircuitBreaker(RULES, clock)
    fail(breaker, 3)
    assert breaker.phase is Phase.CLOSED
    fail(breaker, 1)
    assert breaker.phase is Phase.OPEN
    assert breaker.admit() == Shut("breaker_open", 5.0)
    clock.pass_(4.0)
    assert breaker.admit() == Shut("breaker_open", 1.0)


def test_below_the_ratio_it_stays_closed(clock) -> None:
    breaker = CircuitBreaker(RULES, clock)
    succeed(breaker, 5)
    fail(breaker, 4)
    assert breaker.phase is Phase.CLOSED
    fail(breaker, 1)
    assert breaker.phase is Phase.OPEN


def test_what_left_the_window_does_not_count(clock) -> None:
    breaker = CircuitBreaker(RULES, clock)
    fail(breaker, 3)
    clock.pass_(11.0)
    assert breaker.counts == (0, 0)
    fail(breaker, 3)
    assert breaker.phase is Phase.CLOSED
    clock.pass_(5.0)
    assert breaker.counts == (0, 3)
    fail(breaker, 1)
    assert breaker.phase is Phase.OPEN


def test_half_open_lets_exactly_one_probe_through_and_success_closes(clock) -> None:
    breaker = CircuitBreaker(RULES, clock)
    fail(breaker, 4)
    clock.pass_(5.0)
    first, *others = [breaker.admit() for _ in range(50)]
    assert isinstance(first, Ticket)
    assert first.probe
    assert all(isinstance(other, Shut) and other.reason == "breaker_open" for other in others)
    assert breaker.phase is Phase.HALF_OPEN
    breaker.succeeded(first)
    assert breaker.phase is Phase.CLOSED
    assert breaker.counts == (0, 0)
    assert isinstance(breaker.admit(), Ticket)


def test_a_failed_probe_opens_it_for_the_whole_time_again(clock) -> None:
    breaker = CircuitBreaker(RULES, clock)
    fail(breaker, 4)
    clock.pass_(5.0)
    fail(breaker, 1)
    assert breaker.admit() == Shut("breaker_open", 5.0)
    clock.pass_(5.0)
    assert isinstance(breaker.admit(), Ticket)


def test_an_abandoned_probe_makes_room_for_another(clock) -> None:
    breaker = CircuitBreaker(RULES, clock)
    fail(breaker, 4)
    clock.pass_(5.0)
    probe = breaker.admit()
    assert isinstance(probe, Ticket)
    breaker.abandoned(probe)
    again = breaker.admit()
    assert isinstance(again, Ticket)
    assert again.probe


def test_late_answers_of_an_earlier_era_have_no_say(clock) -> None:
    breaker = CircuitBreaker(RULES, clock)
    stale = breaker.admit()
    assert isinstance(stale, Ticket)
    fail(breaker, 4)
    breaker.succeeded(stale)
    assert breaker.phase is Phase.OPEN
    clock.pass_(5.0)
    probe = breaker.admit()
    assert isinstance(probe, Ticket)
    breaker.failed(stale)
    breaker.abandoned(stale)
    assert isinstance(breaker.admit(), Shut)
    breaker.succeeded(probe)
    assert breaker.phase is Phase.CLOSED
    breaker.succeeded(stale)
    breaker.failed(stale)
    assert breaker.counts == (0, 0)


def test_a_pause_is_clamped_never_shortened_and_ends(clock) -> None:
    breaker = CircuitBreaker(RULES, clock)
    breaker.close_for(-5)
    breaker.close_for(0)
    assert breaker.closed_until_us is None
    breaker.close_for(60)
    breaker.close_for(1)
    assert breaker.admit() == Shut("closed_until", 60.0)
    assert breaker.closed_until_us == clock.now_us() + 60_000_000
    clock.pass_(60.0)
    assert isinstance(breaker.admit(), Ticket)
    breaker.close_for(1e9)
    assert breaker.admit() == Shut("closed_until", 3600.0)
