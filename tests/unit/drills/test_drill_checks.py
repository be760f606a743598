"""Every check of a drill can fail: what was seen of a good one is spoilt in one place at a time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from rco.drills.books import Decided, Sent
from rco.drills.checks import CHECKS, Check, Seen
from rco.drills.counters import Counters, read_counters
from rco.drills.drills import NAMES, drill
from rco.drills.load import Came

replace = msgspec.structs.replace
WEBHOOKS = frozenset(("e1", "e2", "e3"))


def good(name: str = "slow-upstream") -> Seen:
    """Three events and a content taken, a webhook refused in a brownout, everything in order."""
    return Seen(
        drill=drill(name),
        came=[
            Came(phase="calm", kind="get", asked=100, statuses={"200": 100}),
            Came(phase="calm", kind="webhook", asked=3, statuses={"202": 3}),
            Came(phase="fault", kind="webhook", asked=1, statuses={"503": 1}, reasons={"BACKPRESSURE": 1}),
            Came(phase="prime", kind="put", asked=1, statuses={"202": 1}),
        ],
        browned_out=True,
        recovery_s=61.0,
        kills=0,
        sent=Sent(webhooks=WEBHOOKS, refused=frozenset(("r1",)), addresses=frozenset(("b3:1",))),
        events=WEBHOOKS,
        unread=[],
        entries=dict.fromkeys(WEBHOOKS, 1),
        counters=Counters(
            answers={"get": {"200": 100}, "webhook": {"202": 3, "503": 1}, "put": {"202": 1}},
            refused={"BACKPRESSURE": 1},
        ),
        decided=Decided(
            accepted={"drill": 3, "put": 1},
            refused={"BACKPRESSURE": 1},
            events=WEBHOOKS | {"put-event"},
            brownouts=["begins upstream_p95", "ends"],
        ),
        evidence=[],
        verdict="",
    )


def checked(seen: Seen) -> dict[str, Check]:
    return {check.name: check for checks in CHECKS for check in checks(seen)}


def broken(seen: Seen) -> set[str]:
    return {name for name, check in checked(seen).items() if check.ok is not True}


def test_a_good_drill_holds_everywhere() -> None:
    assert broken(good()) == set()
    assert len(checked(good())) == 12


def decided(**changes: object) -> Callable[[Seen], Seen]:
    return lambda seen: replace(seen, decided=replace(seen.decided, **changes))


def counted(**changes: object) -> Callable[[Seen], Seen]:
    return lambda seen: replace(seen, counters=replace(seen.counters, **changes))


SPOILT: list[tuple[str, Callable[[Seen], Seen], set[str]]] = [
    ("no brownout was seen", lambda seen: replace(seen, browned_out=False), {"writes"}),
    ("another cause", decided(brownouts=["begins error_rate", "ends"]), {"writes"}),
    ("a brownout that does not end", decided(brownouts=["begins upstream_p95"]), {"writes"}),
    ("never well again", lambda seen: replace(seen, recovery_s=None), {"recovery"}),
    ("well too late", lambda seen: replace(seen, recovery_s=301.0), {"recovery"}),
    (
        "an acknowledged event is gone",
        lambda seen: replace(seen, events=WEBHOOKS - {"e2"}),
        {"nothing lost", "done once"},
    ),
    ("what was refused is there", lambda seen: replace(seen, events=WEBHOOKS | {"r1"}), {"nothing stray", "done once"}),
    ("content is gone", lambda seen: replace(seen, unread=["b3:1"]), {"nothing lost"}),
    ("booked twice", lambda seen: replace(seen, entries={"e1": 2, "e2": 1, "e3": 1}), {"done once"}),
    ("not booked", lambda seen: replace(seen, entries={"e1": 1, "e2": 1}), {"done once"}),
    ("booked unasked", lambda seen: replace(seen, entries={**seen.entries, "x": 1}), {"done once"}),
    ("a refusal without a reason", counted(refused={}), {"counters"}),
    ("a refusal without a decision", decided(refused={}), {"audit"}),
    ("an acceptance without a decision", decided(accepted={"drill": 2, "put": 1}), {"webhook books"}),
    ("a decision about nothing", decided(accepted={"drill": 5, "put": 1}), {"webhook books"}),
    ("a put without a decision", decided(accepted={"drill": 3}), {"put books"}),
    ("an event that is not in the evidence", decided(events=frozenset(("e1", "e2"))), {"evidence"}),
    ("the chain does not verify", lambda seen: replace(seen, evidence=["line 3: cut"]), {"evidence"}),
    ("a rule is broken", lambda seen: replace(seen, verdict="rule b: run 7 never closed"), {"rules"}),
]


@pytest.mark.parametrize(("spoil", "names"), [one[1:] for one in SPOILT], ids=[one[0] for one in SPOILT])
def test_what_is_wrong_is_found_where_it_is(spoil: Callable[[Seen], Seen], names: set[str]) -> None:
    assert broken(spoil(good())) == names


def test_reads_may_fail_once_in_a_hundred_and_not_twice() -> None:
    def reads(failed: int, reason: str) -> Seen:
        seen = good()
        statuses = {"200": 100 - failed, "0": failed}
        came = Came(phase="fault", kind="get", asked=100, statuses=statuses, reasons={reason: failed})
        rest = [one for one in seen.came if one.kind != "get"]
        return replace(seen, came=[came, *rest])

    assert broken(reads(1, "no_answer")) == set()
    assert broken(reads(2, "no_answer")) == {"reads"}
    # Bytes that are not those of the address are wrong, however seldom.
    assert broken(reads(1, "wrong_bytes")) == {"reads"}


def test_only_a_kill_excuses_what_nobody_answered() -> None:
    seen = good("kill")
    away = Came(phase="fault", kind="get", asked=50, statuses={"200": 10, "0": 40}, reasons={"no_connection": 40})
    taken = [one for one in seen.came if not one.reasons]
    faulty = Came(phase="fault", kind="webhook", asked=1, statuses={"202": 1})
    seen = replace(seen, came=[*taken, faulty, away], kills=1)
    assert "reads" not in broken(seen)
    assert broken(replace(seen, kills=0)) >= {"reads"}


@pytest.mark.parametrize("name", ["burst", "sender-skew", "process-skew"])
def test_writes_are_refused_for_the_reason_of_the_drill_and_for_no_other(name: str) -> None:
    reason = drill(name).writes

    def faulty(reasons: dict[str, int]) -> Seen:
        refused = sum(reasons.values())
        came = Came(
            phase="fault", kind="webhook", asked=refused + 5, statuses={"429": refused, "202": 5}, reasons=reasons
        )
        return replace(good(name), came=[came, *(one for one in good().came if one.phase != "fault")])

    assert checked(faulty({reason: 7}))["writes"].ok
    assert not checked(faulty({}))["writes"].ok
    assert not checked(faulty({reason: 7, "INTERNAL": 1}))["writes"].ok


def test_wrong_clocks_are_told_apart() -> None:
    def skewed(taken: int, honest_refused: int) -> Check:
        late = Came(
            phase="fault:late",
            kind="webhook",
            asked=10,
            statuses={"403": 10 - taken, "202": taken},
            reasons={"POLICY_BLOCKED": 10 - taken},
        )
        reasons = {"POLICY_BLOCKED": honest_refused} if honest_refused else {}
        honest = Came(phase="fault", kind="webhook", asked=10, statuses={"202": 10 - honest_refused}, reasons=reasons)
        return checked(replace(good("sender-skew"), came=[*good().came[:2], late, honest]))["told apart"]

    assert skewed(0, 0).ok
    assert not skewed(1, 0).ok
    assert not skewed(0, 1).ok


def test_every_drill_is_whole() -> None:
    for name in NAMES:
        one = drill(name)
        assert one.name == name
        assert one.about
        assert one.expects.endswith(".")
        assert bool(one.causes) == (one.writes == "brownout")


def test_counters_are_read_by_route_status_and_reason() -> None:
    text = """\
# TYPE svc_interop_requests_total counter
svc_interop_requests_total{method="POST",route="/webhooks/{provider}",status="202"} 7.0
svc_interop_requests_total{method="other",route="/webhooks/{provider}",status="405"} 1.0
svc_interop_requests_total{method="GET",route="/o/{address}",status="200"} 3.0
svc_interop_requests_total{method="GET",route="/elsewhere",status="200"} 9.0
# TYPE svc_interop_rejected_total counter
svc_interop_rejected_total{reason="METHOD"} 1.0
# TYPE svc_interop_brownout_active gauge
svc_interop_brownout_active{component="bridge"} 1.0
# TYPE rco_open_runs gauge
rco_open_runs{mode="hot"} 2.0
rco_open_runs{mode="parked"} 3.0
"""
    found = read_counters(text)
    assert found.answers == {"get": {"200": 3}, "webhook": {"202": 7, "405": 1}, "put": {}}
    assert (found.received, found.accepted, found.refused) == (11, 10, {"METHOD": 1})
    assert (found.brownout, found.open_runs, found.backlog) == (True, 5, 0)
    before = read_counters(text.replace("7.0", "5.0"))
    assert found.since(before).answers["webhook"] == {"202": 2}
