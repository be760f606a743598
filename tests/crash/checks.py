"""What must hold after any number of kills. Pure functions over three records, each written by another party.

Every function gives findings; none means that it holds. ``tests/crash/test_checks.py`` plants each violation once and
sees it found.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.crash.customer import Asked
from tests.crash.records import Records, Run

from rco.audit.verify import verify
from rco.kit.ids import id_bytes, id_text
from rco.model.journal import Kind

__all__ = ["BROKEN", "DOUBLED", "EARLY", "EXPECTED", "LOST", "STRAY", "Finding", "check"]

LOST = "lost"
DOUBLED = "doubled"
EARLY = "early"
STRAY = "stray"
"""It is there, and nobody asked for it or no other record knows of it."""
BROKEN = "broken"
"""The record contradicts itself."""


@dataclass(frozen=True)
class Finding:
    kind: str
    what: str


@dataclass(frozen=True)
class Expected:
    """How a run of a workflow must close, and which effects its order must have: (at least, at most)."""

    outcome: str
    effects: dict[str, tuple[int, int]]


_ONE, _MAYBE = (1, 1), (0, 1)
EXPECTED = {
    "order": Expected("completed", {"reserved": _ONE, "booked": _ONE, "shipped": _ONE}),
    "fulfil": Expected("completed", {"reserved": _ONE, "booked": _ONE, "shipped": _ONE}),
    "watch": Expected("completed", {}),
    "ship": Expected("completed", {"shipped": _ONE}),
    "gate": Expected("completed", {"passed": _ONE}),
    "nap": Expected("completed", {"napped": _ONE}),
    "fan": Expected("completed", {"fan0": _ONE, "fan1": _ONE, "fan2": _ONE, "joined": _ONE}),
    "flaky": Expected("completed", {"stumbled": _ONE}),
    "refused": Expected("failed", {"reserved": _ONE, "released": _ONE}),
    # The cancel may come before the call or while it is under way; what undoes it was registered before.
    "stopped": Expected("cancelled", {"reserved": _MAYBE, "released": _ONE}),
    "parent": Expected("completed", {"raced": _ONE}),
    "quick": Expected("completed", {}),
    "slow": Expected("cancelled", {"reserved": _MAYBE, "released": _ONE}),
    "once": Expected("completed", {"charged": _ONE, "receipt": _ONE}),
    "unkeyed": Expected("completed", {"charged": _ONE, "receipt": _ONE}),
}


def check(records: Records) -> list[Finding]:
    """Everything that is wrong."""
    parts: list[Callable[[Records], Iterable[Finding]]] = [
        starts,
        deliveries,
        journals,
        closings,
        steps,
        effects,
        signals,
        timers,
        retries,
        children,
        emitted,
        evidence,
        leftovers,
        appends,
        calls,
    ]
    return [finding for part in parts for finding in part(records)]


def _acknowledged(records: Records, kind: str) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = defaultdict(list)
    for asked in records.asked:
        if asked.kind == kind and asked.outcome == "acknowledged":
            found[asked.name].append(asked)
    return found


def starts(records: Records) -> Iterable[Finding]:
    """A key is one run, opened once; no run is there that nobody asked for."""
    known: set[str] = set()
    for key, told in _acknowledged(records, "start").items():
        ids = {one.run_id for one in told}
        known |= ids
        if len(ids) > 1:
            yield Finding(DOUBLED, f"start {key} was acknowledged as {len(ids)} runs")
        if sum(bool(one.answer) for one in told) > 1:
            yield Finding(DOUBLED, f"start {key} was acknowledged as new more than once")
        for run_id in ids:
            run = records.runs.get(run_id)
            if run is None:
                yield Finding(LOST, f"start {key} was acknowledged, but there is no run {run_id}")
            elif (run.workflow, run.order) != (told[0].workflow, told[0].order):
                yield Finding(BROKEN, f"start {key} is run {run_id} of {run.workflow} about {run.order}")
    for run in records.runs.values():
        if not run.start.get("parent") and not run.start.get("event_id") and run.run_id not in known:
            yield Finding(STRAY, f"run {run.run_id} of {run.workflow} about {run.order}: nobody was told of it")


def deliveries(records: Records) -> Iterable[Finding]:
    """A delivery is accepted once, under one correlation id, and starts each run that wants it once."""
    accepted = Counter(
        one["event"] for one in records.decisions if one["verb"] == "accept" and one.get("reason", "") != "duplicate"
    )
    started: dict[str, Counter[str]] = defaultdict(Counter)
    for run in records.runs.values():
        if run.start.get("event_id"):
            started[run.start["event_id"]][run.workflow] += 1
    told_all = _acknowledged(records, "deliver")
    for delivery, told in told_all.items():
        if len({one.answer["corr_id"] for one in told}) > 1:
            yield Finding(DOUBLED, f"delivery {delivery} was acknowledged under several correlation ids")
        if sum(not one.answer.get("duplicate") for one in told) > 1:
            yield Finding(DOUBLED, f"delivery {delivery} was acknowledged as new more than once")
        if accepted[delivery] != 1:
            kind = LOST if accepted[delivery] == 0 else DOUBLED
            yield Finding(kind, f"delivery {delivery} was accepted {accepted[delivery]} times in the evidence")
        for workflow in ("fulfil", "watch"):
            count = started[delivery][workflow]
            if count != 1:
                yield Finding(LOST if count == 0 else DOUBLED, f"delivery {delivery} began {count} runs of {workflow}")
    for delivery in (accepted.keys() | started.keys()) - told_all.keys():
        yield Finding(STRAY, f"delivery {delivery} was accepted, and its sender never heard of it")
    for asked in records.asked:
        if asked.kind == "deliver" and asked.outcome == "refused":
            yield Finding(LOST, f"delivery {asked.name} was refused: {asked.answer}")


def journals(records: Records) -> Iterable[Finding]:
    """Numbers without a gap, in the order of commits; START first, nothing behind CLOSE."""
    for run in records.runs.values():
        following = 0
        latest: dict[str, int] = defaultdict(int)
        for (n, first_seq, count), chain in zip(run.segments, run.chains, strict=True):
            before = latest[chain]
            if first_seq != following:
                kind = LOST if first_seq > following else DOUBLED
                yield Finding(kind, f"run {run.run_id}: the journal goes on at {first_seq}, expected {following}")
            if n < before:
                yield Finding(BROKEN, f"run {run.run_id}: segment {first_seq} stands in commit {n}, after {before}")
            following, latest[chain] = first_seq + count, n
        if not run.start or len(run.of(Kind.START)) != 1:
            yield Finding(BROKEN, f"run {run.run_id} has {len(run.of(Kind.START))} START records")
        if run.of(Kind.CLOSE) and run.records[-1].kind != Kind.CLOSE:
            yield Finding(BROKEN, f"run {run.run_id} has records behind CLOSE")


def closings(records: Records) -> Iterable[Finding]:
    """Every run is closed once, as its workflow must, and the evidence says so once."""
    decided = Counter(one["run"] for one in records.decisions if one["verb"] == "close")
    began = Counter(one["run"] for one in records.decisions if one["verb"] == "start")
    for run in records.runs.values():
        name = f"run {run.run_id} of {run.workflow} about {run.order}"
        count = len(run.of(Kind.CLOSE))
        if count != 1:
            yield Finding(LOST if count == 0 else DOUBLED, f"{name} closed {count} times")
        elif run.outcome != EXPECTED[run.workflow].outcome:
            body = run.of(Kind.CLOSE)[0].body
            yield Finding(LOST, f"{name} should be {EXPECTED[run.workflow].outcome}, but is {body}")
        for verb, counted in (("closed", decided[run.run_id]), ("started", began[run.run_id])):
            if counted != 1:
                yield Finding(LOST if counted == 0 else DOUBLED, f"{name}: the evidence says {counted} times {verb}")


def steps(records: Records) -> Iterable[Finding]:
    """A step ends once; a successful one has had its effect once; each answer of a call is in the evidence once."""
    done = Counter(effect.key for effect in records.effects if effect.key)
    known: set[str] = set()
    answered = Counter(
        one["run"] for one in records.decisions if one["verb"] == "call" and not one.get("reason") and one.get("facts")
    )
    for run in records.runs.values():
        ended = run.of(Kind.STEP_END)
        for step, count in Counter(record.key for record in ended).items():
            if count > 1:
                yield Finding(DOUBLED, f"run {run.run_id}: step {step} ended {count} times")
        calls = 0
        # What a person settled stands in the evidence as that, not as an answer.
        settled = {record.key for record in run.of(Kind.SETTLED) if record.body["verdict"] == "done"}
        for record in ended:
            key = run.idempotency_key(record.key)
            known.add(key)
            ok, value, _ = record.body
            called = isinstance(value, dict) and "b3" in value
            calls += bool(ok) and called and record.key not in settled
            told = value.get("body") if called else value
            if ok and isinstance(told, dict) and told.get("key") and "effect" in told:
                if told["key"] != key:
                    yield Finding(BROKEN, f"run {run.run_id}: step {record.key} was answered about another key")
                if done[key] != 1:
                    kind = LOST if done[key] == 0 else DOUBLED
                    yield Finding(kind, f"run {run.run_id}: step {record.key} succeeded with {done[key]} effects")
            elif not ok and done[key] and run.outcome != "cancelled":
                yield Finding(STRAY, f"run {run.run_id}: step {record.key} failed, but had its effect")
        if answered[run.run_id] != calls:
            kind = LOST if answered[run.run_id] < calls else DOUBLED
            yield Finding(kind, f"run {run.run_id}: {calls} calls succeeded, the evidence has {answered[run.run_id]}")
    cancelled = {run.order for run in records.runs.values() if run.outcome == "cancelled"}
    for effect in records.effects:
        # A call that a cancellation let go may have had its effect; nothing waits for its answer any more.
        if effect.key and effect.key not in known and effect.order not in cancelled:
            yield Finding(STRAY, f"{effect.order} was {effect.what} under a key that no journal knows")


def effects(records: Records) -> Iterable[Finding]:
    """Each order has the effects that its runs must have, whatever keys they came under."""
    done: dict[str, Counter[str]] = defaultdict(Counter)
    for effect in records.effects:
        done[effect.order][effect.what] += 1
    for order, runs in records.by_order().items():
        least: Counter[str] = Counter()
        most: Counter[str] = Counter()
        for run in runs:
            for what, (low, high) in EXPECTED[run.workflow].effects.items():
                # A parent and its child may name the same effect of the same order.
                least[what], most[what] = max(least[what], low), max(most[what], high)
        for what in least.keys() | done[order].keys():
            count = done[order][what]
            if count < least[what]:
                yield Finding(LOST, f"{order} was never {what}")
            if count > most[what]:
                yield Finding(DOUBLED if most[what] else STRAY, f"{order} was {what} {count} times")


def _taken(run: Run) -> Counter[str]:
    return Counter(record.body[0] for record in run.of(Kind.MESSAGE) if isinstance(record.body[0], str))


def signals(records: Records) -> Iterable[Finding]:
    """An acknowledged signal is taken once, by the run it was sent to; one without an answer at most once."""
    taken = {run.run_id: _taken(run) for run in records.runs.values()}
    for run_id, counted in taken.items():
        for message_id, count in counted.items():
            if count > 1:
                yield Finding(DOUBLED, f"run {run_id} took message {message_id} {count} times")
    heard: dict[tuple[str, str], set[str]] = defaultdict(set)
    for asked in records.asked:
        if asked.kind == "signal":
            heard[asked.run_id, asked.name].add(asked.outcome)
    for (run_id, message_id), outcomes in heard.items():
        count = taken.get(run_id, Counter())[message_id]
        if "acknowledged" in outcomes and count != 1:
            yield Finding(LOST if count == 0 else DOUBLED, f"signal {message_id} was acknowledged, taken {count} times")
        if outcomes == {"refused"}:
            yield Finding(LOST, f"signal {message_id} was refused")
    for run in records.runs.values():
        for record in run.of(Kind.MESSAGE):
            if record.key.startswith("signal go") and (run.run_id, record.body[0]) not in heard:
                yield Finding(STRAY, f"run {run.run_id} took {record.body[0]}, which nobody sent")


def timers(records: Records) -> Iterable[Finding]:
    """No timer is early, neither in the journal nor in what the world saw after it; each set one fires once."""
    first_seen: dict[str, int] = {}
    for seen in records.seen:
        first_seen[seen.key] = min(seen.at_us, first_seen.get(seen.key, seen.at_us))
    for run in records.runs.values():
        due: dict[str, int] = {}
        fired: set[str] = set()
        latest = 0
        for record in run.records:
            name = f"run {run.run_id} of {run.workflow}: timer {record.key}"
            if record.kind == Kind.TIMER_SET:
                if record.key in due:
                    yield Finding(DOUBLED, f"{name} was set twice")
                due[record.key] = record.body
            elif record.kind == Kind.WAIT and record.body.get("due_us") is not None:
                due[record.key] = record.body["due_us"]
            elif record.kind == Kind.TIMER_FIRED:
                if record.key not in due or record.key in fired:
                    yield Finding(DOUBLED if record.key in fired else STRAY, f"{name} fired and was not to")
                    continue
                fired.add(record.key)
                latest = max(latest, due[record.key])
                if record.at_us < due[record.key]:
                    yield Finding(EARLY, f"{name} fired {due[record.key] - record.at_us} us early")
            elif record.kind == Kind.STEP_END:
                at_us = first_seen.get(run.idempotency_key(record.key))
                if at_us is not None and at_us < latest:
                    what = f"step {record.key} left {latest - at_us} us before the timer it comes after"
                    yield Finding(EARLY, f"run {run.run_id} of {run.workflow}: {what}")
        if run.outcome == "completed":
            for key in {record.key for record in run.of(Kind.TIMER_SET)} - fired:
                yield Finding(LOST, f"run {run.run_id} of {run.workflow}: timer {key} never fired")


def retries(records: Records) -> Iterable[Finding]:
    """Nothing is tried again, nor sent again after a refusal, before the retry that was written down is due."""
    arrived: dict[str, list[int]] = defaultdict(list)
    for seen in records.seen:
        arrived[seen.key].append(seen.at_us)
    for run in records.runs.values():
        due: dict[str, int] = {}
        for record in run.of(Kind.STEP_RETRY, Kind.STEP_END):
            early_us = due.get(record.key, 0) - record.at_us
            if early_us > 0:
                yield Finding(EARLY, f"run {run.run_id}: step {record.key} was tried {early_us} us before it was due")
            if record.kind == Kind.STEP_END:
                continue
            _, due_us, error = record.body
            due[record.key] = due_us
            if "503" not in error["message"]:
                # An attempt without an answer may still be on its way to the other side.
                continue
            for at_us in arrived[run.idempotency_key(record.key)]:
                if record.at_us < at_us < due_us:
                    what = f"step {record.key} was sent {due_us - at_us} us before its retry was due"
                    yield Finding(EARLY, f"run {run.run_id}: {what}")


def children(records: Records) -> Iterable[Finding]:
    """A child belongs to one parent, which was told of its end at most once and as it was."""
    owned: dict[str, tuple[Run, str]] = {}
    for run in records.runs.values():
        told: Counter[str] = Counter()
        for record in run.of(Kind.MESSAGE):
            if isinstance(record.body[0], bytes):
                child_id = id_text(record.body[0])
                told[child_id] += 1
                child = records.runs.get(child_id)
                if child is not None and child.outcome != record.body[2][0]:
                    yield Finding(BROKEN, f"child {child_id} closed as {child.outcome}, {record.body[2][0]} was told")
        for record in run.of(Kind.CHILD):
            child_id = id_text(record.body[0])
            if child_id in owned:
                yield Finding(DOUBLED, f"child {child_id} was opened twice")
            owned[child_id] = run, record.key
            if child_id not in records.runs:
                yield Finding(LOST, f"run {run.run_id} opened child {child_id}, which is not there")
            if told[child_id] > 1:
                yield Finding(DOUBLED, f"run {run.run_id} was told {told[child_id]} times that {child_id} closed")
            if told[child_id] == 0 and run.outcome == "completed" and run.workflow != "parent":
                yield Finding(LOST, f"run {run.run_id} completed without hearing of its child {child_id}")
    for run in records.runs.values():
        if run.start.get("parent"):
            owner = owned.get(run.run_id)
            if owner is None:
                yield Finding(STRAY, f"run {run.run_id} of {run.workflow} is a child that no parent opened")
            elif (id_text(run.start["parent"]), run.start["parent_key"]) != (owner[0].run_id, owner[1]):
                yield Finding(BROKEN, f"child {run.run_id} names another parent than the one that opened it")


def emitted(records: Records) -> Iterable[Finding]:
    """The event that ``fulfil`` emits is emitted once and taken once by the run that waits for it."""
    for order, runs in records.by_order().items():
        events = [record.body[0] for run in runs if run.workflow == "fulfil" for record in run.of(Kind.EMIT)]
        for watcher in (run for run in runs if run.workflow == "watch"):
            taken = [record.body[2]["id"] for record in watcher.of(Kind.MESSAGE)]
            if taken != events:
                kind = LOST if len(taken) < len(events) else DOUBLED
                yield Finding(kind, f"{order}: emitted {events}, the run that waits took {taken}")
        if len(events) > 1:
            yield Finding(DOUBLED, f"{order}: its event was emitted {len(events)} times")


def evidence(records: Records) -> Iterable[Finding]:
    """The export verifies, whole and from its first link."""
    verdict = verify(records.evidence, complete=True)
    for problem in verdict.problems:
        yield Finding(BROKEN, f"evidence: {problem}")
    if not verdict.anchored:
        yield Finding(LOST, f"evidence begins at link {verdict.first}")


def leftovers(records: Records) -> Iterable[Finding]:
    """Nothing that served a run outlives it."""
    for what, count in records.leftovers.items():
        yield Finding(STRAY, f"the database still holds {count} x {what}")


def appends(records: Records) -> Iterable[Finding]:
    """Nobody wrote to the journal of a run whose shard was somebody else's when the commit was made."""
    for written in records.tenures.written if records.tenures is not None else ():
        owner = records.tenures.owner(written.shard, written.at_us) if records.tenures is not None else None
        if owner != written.node:
            what = f"run {written.run_id} (shard {written.shard}) was written by {written.node}, it was {owner}'s"
            yield Finding(BROKEN, f"{what}: {written.at_us}")


SLACK_US = 1_500_000
"""Between a request that leaves a node and its being noted by the other side, on a machine that is busy."""


RESUME_US, LATE_CALLS = 250_000, 2
"""A process that is stopped between its last look at its lease and the writing itself sends what it was about to send
when it goes on: so many requests within so long are let pass after each pause. One that did not look would send all
that fell due while it was stopped."""


def calls(records: Records) -> Iterable[Finding]:
    """No governed call came from a node whose hold on the run had ended. What an author's function sends by itself is
    out of reach: it is not asked again between its beginning and its own socket."""
    tenures = records.tenures
    if tenures is None:
        return
    late: Counter[tuple[str, int]] = Counter()
    runs = {
        run.idempotency_key(record.key): run
        for run in records.runs.values()
        for record in run.of(Kind.STEP_END, Kind.STEP_RETRY)
    }
    for seen in records.seen:
        run = runs.get(seen.key)
        if run is None or seen.what in ("booked", "stumbled"):
            continue
        shard = id_bytes(run.run_id)[15]
        nodes = tenures.nodes_by_port[seen.port]
        if not any(tenures.held(shard, node, seen.at_us - SLACK_US, seen.at_us) for node in nodes):
            resumed = [one for one in tenures.resumed if one[0] in nodes and 0 <= seen.at_us - one[1] < RESUME_US]
            if resumed and late[resumed[-1]] < LATE_CALLS:
                late[resumed[-1]] += 1
                continue
            who = tenures.owner(shard, seen.at_us)
            what = f"run {run.run_id} (shard {shard}) was {seen.what} by one of {sorted(nodes)} at {seen.at_us}"
            yield Finding(BROKEN, f"{what}, when it was {who}'s")
