"""What must hold in a drill. Each check is a sentence, what was found, and whether it is as it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from rco.drills.books import Decided, Sent
from rco.drills.counters import Counters
from rco.drills.drill import BROWNOUT, NOTHING, Drill
from rco.drills.load import Came
from rco.drills.size import RECOVERY_MAX_S

__all__ = ["CHECKS", "Check", "Seen"]

READS_LEAST = 0.99
_SHOWN = 5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """``ok`` is ``None`` where it could not be looked at; ``found`` says why."""

    name: str
    must: str
    found: str
    ok: bool | None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was seen of one drill."""

    drill: Drill
    came: list[Came]
    browned_out: bool
    recovery_s: float | None
    """From the end of the fault, or from the last kill."""
    kills: int
    sent: Sent
    events: frozenset[str] | None
    """Accepted events that the service has. ``None``: it could not be asked."""
    unread: list[str]
    """Addresses of acknowledged content that did not give their bytes."""
    entries: dict[str, int] | None
    """Of the ledger, by order. ``None``: the calls went elsewhere."""
    counters: Counters
    """What the last process has counted, in a service of the drill's own since its start, else since the drill's."""
    decided: Decided | None
    """``None``: the evidence was not looked at."""
    evidence: list[str] | None
    """What is wrong with the evidence."""
    verdict: str | None
    """What is wrong by the rules of ``rco verify``; empty when nothing is."""

    def kind(self, kind: str) -> list[Came]:
        return [came for came in self.came if came.kind == kind]


def _writes(seen: Seen) -> Iterator[Check]:
    drill = seen.drill
    faulty = [came for came in seen.came if came.phase.startswith("fault") and came.kind in ("webhook", "put")]
    reasons = _added(came.reasons for came in faulty)
    taken = sum(came.good for came in faulty)
    if drill.writes == BROWNOUT:
        causes = [] if seen.decided is None else seen.decided.brownouts
        named = any(cause in text for text in causes for cause in drill.causes if text.startswith("begins"))
        ended = bool(causes) and causes[-1].startswith("ends")
        yield Check(
            name="writes",
            must=f"brown out over {' or '.join(drill.causes)}, and the brownout ends by itself",
            found=f"{'; '.join(causes) or 'no brownout in the evidence'}; {_listed(reasons)}",
            ok=seen.browned_out and named and ended,
        )
        return
    if drill.writes == NOTHING:
        refused = {name: count for name, count in reasons.items() if name not in ("no_answer", "no_connection")}
        yield Check(
            name="writes",
            must="are refused by nobody",
            found=f"{taken} taken; {_listed(reasons)}",
            ok=taken > 0 and not refused,
        )
        return
    others = {name: count for name, count in reasons.items() if name not in (drill.writes, "BACKPRESSURE")}
    yield Check(
        name="writes",
        must=f"are refused as {drill.writes}, and what is as it should be is taken",
        found=f"{taken} taken; {_listed(reasons)}",
        ok=reasons.get(drill.writes, 0) > 0 and taken > 0 and not others,
    )
    skewed = [came for came in faulty if ":" in came.phase]
    if skewed:
        wrong = sum(came.good for came in skewed)
        honest = [came for came in faulty if ":" not in came.phase]
        refused_honest = sum(sum(came.reasons.values()) for came in honest)
        yield Check(
            name="told apart",
            must="every request of a wrong clock is refused, and no other one",
            found=f"{wrong} of {sum(came.asked for came in skewed)} with a wrong clock were taken; {refused_honest} of "
            f"{sum(came.asked for came in honest)} others refused",
            ok=not wrong and not refused_honest,
        )


def _reads(seen: Seen) -> Iterator[Check]:
    gets = seen.kind("get")
    if not gets:
        yield Check(name="reads", must=f"{READS_LEAST:.0%} are answered", found="none were sent", ok=None)
        return
    lost = _added(came.reasons for came in gets)
    away = sum(lost.get(name, 0) for name in ("no_answer", "no_connection")) if seen.kills else 0
    asked, good = sum(came.asked for came in gets) - away, sum(came.good for came in gets)
    p95_ms = max(came.p95_ms for came in gets)
    beside = f", {away} more while no process was there" if seen.kills else ""
    yield Check(
        name="reads",
        must=f"{READS_LEAST:.0%} are answered" + (" while a process is there" if seen.kills else ""),
        found=f"{good} of {asked} ({good / max(1, asked):.2%}){beside}; p95 {p95_ms:.0f} ms at worst; {_listed(lost)}",
        ok=asked > 0 and good >= READS_LEAST * asked and not lost.get("wrong_bytes"),
    )


def _recovery(seen: Seen) -> Iterator[Check]:
    found = "not within that time" if seen.recovery_s is None else f"{seen.recovery_s:.1f} s"
    since = "a kill" if seen.kills else "the fault has ended"
    yield Check(
        name="recovery",
        must=f"all well {RECOVERY_MAX_S:g} s after {since} at the latest",
        found=found,
        ok=seen.recovery_s is not None and seen.recovery_s <= RECOVERY_MAX_S,
    )


def _kept(seen: Seen) -> Iterator[Check]:
    webhooks, addresses = seen.sent.webhooks, seen.sent.addresses
    if seen.events is None:
        yield Check(name="nothing lost", must="acknowledged is there", found="events could not be asked for", ok=None)
        return
    lost = webhooks - seen.events
    found = f"{len(webhooks)} events and {len(addresses)} contents; lost: {len(lost)} and {len(seen.unread)}"
    yield Check(
        name="nothing lost",
        must="what was acknowledged is there",
        found=found + _some(lost) + _some(seen.unread),
        ok=bool(webhooks) and not lost and not seen.unread,
    )
    stray = (seen.events & seen.sent.refused) - webhooks
    if not seen.kills:
        yield Check(
            name="nothing stray",
            must="what was refused is not there",
            found=f"{len(stray)} of {len(seen.sent.refused)}{_some(stray)}",
            ok=not stray,
        )


def _once(seen: Seen) -> Iterator[Check]:
    if seen.entries is None or seen.events is None:
        yield Check(name="done once", must="each event is booked once", found="the calls went elsewhere", ok=None)
        return
    missing = seen.events - seen.entries.keys()
    twice = {order for order, count in seen.entries.items() if count > 1}
    unasked = seen.entries.keys() - seen.events
    yield Check(
        name="done once",
        must="each accepted event is booked once in the ledger",
        found=f"{len(seen.entries)} booked; missing {len(missing)}, twice {len(twice)}, unasked {len(unasked)}"
        + _some(missing)
        + _some(twice),
        ok=bool(seen.entries) and not missing and not twice and not unasked,
    )


def _counters(seen: Seen) -> Iterator[Check]:
    counted = seen.counters
    refused = sum(counted.refused.values())
    yield Check(
        name="counters",
        must="received = accepted + refused by reason",
        found=f"{counted.received} = {counted.accepted} + {refused} ({_listed(counted.refused)})",
        ok=counted.received > 0 and counted.received == counted.accepted + refused,
    )
    if seen.kills or seen.decided is None:
        # What was counted went with the process.
        return
    for kind in ("webhook", "put"):
        yield _both(seen, kind)
    decided = sum(seen.decided.refused.values())
    writes = sum(
        count for kind in ("webhook", "put") for status, count in counted.answers[kind].items() if int(status) >= 400
    )
    yield Check(
        name="audit",
        must="each accepted and each refused write is a decision, or counted as dropped",
        found=f"accepted {seen.decided.accepted}; refused {writes} = {decided} decided + {counted.dropped} dropped",
        ok=writes == decided + counted.dropped,
    )


def _both(seen: Seen, kind: str) -> Check:
    """What the sender was answered, the service counted and the evidence holds."""
    assert seen.decided is not None
    answers = _added(came.statuses for came in seen.kind(kind))
    unheard = answers.pop("0", 0)
    counted = seen.counters.answers[kind]
    taken = sum(count for status, count in counted.items() if int(status) < 400)
    decided = sum(count for name, count in seen.decided.accepted.items() if (name == "put") == (kind == "put"))
    heard = sum(answers.values())
    total = sum(counted.values())
    late = decided - taken
    return Check(
        name=f"{kind} books",
        must="sender, counters and evidence say the same",
        found=f"sender {heard} answers (and {unheard} unheard), counters {total}; accepted {taken}, decided {decided}",
        # What the sender gave up on was answered to nobody. What was refused for taking too long may be durable.
        ok=heard <= total <= heard + unheard
        and all(counted.get(status, 0) >= count for status, count in answers.items())
        and 0 <= late <= unheard + counted.get("503", 0),
    )


def _evidence(seen: Seen) -> Iterator[Check]:
    if seen.evidence is None:
        yield Check(name="evidence", must="the chain verifies", found="it was not exported", ok=None)
        return
    yield Check(
        name="evidence",
        must="the chain verifies, and an accepted event is in it",
        found="; ".join(seen.evidence[:_SHOWN]) or "verified",
        ok=not seen.evidence and seen.decided is not None and seen.sent.webhooks <= seen.decided.events,
    )
    if seen.verdict is not None:
        yield Check(
            name="rules",
            must="the rules of rco verify hold, every run closed",
            found=seen.verdict or "they hold",
            ok=not seen.verdict,
        )


CHECKS: tuple[Callable[[Seen], Iterator[Check]], ...] = (
    _writes,
    _reads,
    _recovery,
    _kept,
    _once,
    _counters,
    _evidence,
)


def _added(counts: Iterator[dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            found[name] = found.get(name, 0) + count
    return found


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no refusals"


def _some(names: object) -> str:
    found = sorted(names)[:_SHOWN] if isinstance(names, (set, frozenset, list)) else []
    return f": {', '.join(found)}" if found else ""
