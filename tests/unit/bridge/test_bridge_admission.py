"""Who may come in at all."""

from __future__ import annotations

import pytest

from rco.bridge.admission import AdmissionLimits, Turnstile, open_routes
from rco.bridge.contract import ProviderSettings, SecretRef
from rco.errors import ConfigInvalid, Reason, Refused


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def now_us(self) -> int:
        return 1_790_000_000_000_000

    def monotonic(self) -> float:
        return self.at


def provider(name: str = "one", **changed: object) -> ProviderSettings:
    return ProviderSettings(
        name=name, kind="github", secrets=[SecretRef(secret_id="a", ref="env:A")], **changed
    )  # fmt: skip


def turnstile(clock: Hand, *settings: ProviderSettings, **limits: float) -> Turnstile:
    made = Turnstile(AdmissionLimits(**limits), clock)
    made.replace(open_routes(settings, resolve=lambda _: b"x" * 16, clock=clock))
    return made


def refusal(made: Turnstile, name: str) -> Refused:
    with pytest.raises(Refused) as caught:
        made.enter(name)
    return caught.value


def test_unknown_and_switched_off_are_refused_and_count_nothing() -> None:
    made = turnstile(Hand(), provider("off", enabled=False), burst=1)
    for name in ("", "two", "one/", "../one", "ONE", "one\0"):
        assert (refusal(made, name).reason, made.inflight) == (Reason.NOT_FOUND, 0)
    error = refusal(made, "off")
    assert (error.reason, error.status, error.detail) == (Reason.POLICY_BLOCKED, 403, "provider_off")


def test_nothing_is_known_before_routes_are_given() -> None:
    made = Turnstile(AdmissionLimits(), Hand())
    assert refusal(made, "one").reason is Reason.NOT_FOUND


def test_secrets_of_a_provider_that_is_off_are_not_opened() -> None:
    asked: list[str] = []
    routes = open_routes([provider("off", enabled=False)], resolve=lambda ref: asked.append(ref) or b"", clock=Hand())
    assert (routes["off"].verifier, asked) == (None, [])


def test_all_routes_or_none() -> None:
    with pytest.raises(ConfigInvalid):
        open_routes([provider("one"), provider("two", age_limit_s=999)], resolve=lambda _: b"x" * 16, clock=Hand())
    with pytest.raises(ConfigInvalid, match="twice"):
        open_routes([provider("one"), provider("one")], resolve=lambda _: b"x" * 16, clock=Hand())


def test_the_burst_and_then_the_rate() -> None:
    clock = Hand()
    made = turnstile(clock, provider(), rate_per_s=2, burst=3)
    for _ in range(3):
        made.enter("one")
    error = refusal(made, "one")
    assert (error.reason, error.detail) == (Reason.RATE_LIMIT, "rate_instance")
    assert error.retry_after_s == pytest.approx(0.5)
    clock.at += 0.5
    made.enter("one")
    refusal(made, "one")


def test_one_provider_over_its_rate_takes_nothing_from_the_others() -> None:
    made = turnstile(Hand(), provider("one", rate_per_s=1, burst=1), provider("two"), rate_per_s=1, burst=2)
    made.enter("one")
    for _ in range(10):
        assert refusal(made, "one").detail == "rate_provider"
    made.enter("two")


def test_no_more_inside_than_allowed() -> None:
    made = turnstile(Hand(), provider(), inflight=2, burst=100)
    made.enter("one")
    made.enter("one")
    error = refusal(made, "one")
    assert (error.reason, error.status, error.detail) == (Reason.BACKPRESSURE, 429, "inflight_full")
    made.leave(0)
    made.enter("one")


def test_bodies_in_memory_are_bounded_in_all() -> None:
    made = turnstile(Hand(), provider(), held_bytes=10)
    made.enter("one")
    made.hold(6)
    with pytest.raises(Refused) as caught:
        made.hold(5)
    assert (caught.value.reason, caught.value.detail) == (Reason.BACKPRESSURE, "held_full")
    made.hold(4)
    made.leave(10)
    assert (made.held_bytes, made.inflight) == (0, 0)


def test_a_reload_swaps_all_routes_at_once() -> None:
    clock = Hand()
    made = turnstile(clock, provider("one"))
    inside = made.enter("one")
    made.replace(open_routes([provider("two")], resolve=lambda _: b"x" * 16, clock=clock))
    assert inside.verifier is not None
    assert refusal(made, "one").reason is Reason.NOT_FOUND
    made.enter("two")
