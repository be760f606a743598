"""The case before the rules: the three records, with what several rules ask of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import msgspec

from rco.verify.checkpoints import Checkpoints
from rco.verify.lines import Asked, Header, LedgerLine, Link, Node, RecordLine, RunLine, SegmentLine, Unread
from rco.verify.options import Options, TargetLimits
from rco.verify.owners import Owners, Tenure, pool_of
from rco.verify.trims import Trims, began_at_us
from rco.verify.verdict import RuleVerdict

__all__ = ["Call", "Case", "Ledger", "Request", "Rule", "Run", "Turn"]

_decisions = msgspec.json.Decoder(list[dict[str, Any]]).decode


@dataclass
class Run:
    """One run of the export with all that belongs to it."""

    line: RunLine
    segments: list[SegmentLine] = field(default_factory=list)
    records: list[RecordLine] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    opened: bool = False
    """Its journal was encrypted, and the keys at hand opened all of it."""
    broken: list[str] = field(default_factory=list)
    """Segments that do not open under their key."""

    @property
    def name(self) -> str:
        return f"run {self.line.id} of {self.line.workflow}"

    @property
    def encrypted(self) -> bool:
        """Whether records of it are missing because nobody may read them."""
        return not self.opened and any(segment.encrypted for segment in self.segments)

    @property
    def copied(self) -> int:
        """How many records a fork has from the run it was forked from; 0 for any other."""
        origin = self.records[0].body.get("origin") if self.records else None
        return int(origin.get("copied", 0)) if isinstance(origin, dict) else 0

    def pool(self, seq: int) -> str:
        """The version whose pool the run was in when the record ``seq`` was written: a move is written by the owner
        that it had before. Of a run whose records may not be read it is the last."""
        pool = ""
        for since, of in self._pools:
            if since > seq:
                break
            pool = of
        return pool

    @cached_property
    def _pools(self) -> list[tuple[int, str]]:
        """Each with the first record that was written in it."""
        if self.encrypted or not self.records:
            return [(0, pool_of(self.line.version or ""))]
        began = (0, pool_of(str(self.records[0].body.get("version") or "")))
        moves = [record for record in self.records if record.kind == "VERSION"]
        return [began, *((move.seq + 1, pool_of(str(move.body.get("to")))) for move in moves)]

    def of(self, *kinds: str) -> list[RecordLine]:
        return [record for record in self.records if record.kind in kinds]


@dataclass(frozen=True)
class Request:
    """A request as the target saw it. ``until_us`` is when it was answered, where that was written down."""

    at_us: int
    target: str
    key: str
    until_us: int | None = None


@dataclass(frozen=True)
class Call:
    """A call that succeeded, as its decision tells: which target, how."""

    target: str
    method: str
    status: int
    attempt: int


@dataclass(frozen=True)
class Turn:
    """A run's turn in a queue, as the decision tells that gave it."""

    queue: str
    run: str
    key: str
    level: int
    weight: int
    concurrency: int | None
    per_key_concurrency: int | None
    at_us: int
    chain: str
    n: int
    place: int
    epoch: int


class Ledger:
    """What the target wrote down."""

    def __init__(self, lines: Iterable[LedgerLine]) -> None:
        self.requests: list[Request] = []
        self.effects: dict[str, int] = defaultdict(int)
        """Count of effects by idempotency key."""
        self.keyless = 0
        self.targets: set[str] = set()
        self.arrivals: dict[str, list[int]] = defaultdict(list)
        self.seen: dict[str, int] = defaultdict(int)
        begun: dict[tuple[str, str], int] = {}
        for line in lines:
            self.targets.add(line.target)
            if line.kind == "seen":
                self._arrived(line, begun)
            elif line.kind == "answered":
                place = begun.pop((line.target, line.id), None)
                if place is not None and line.at_us is not None:
                    before = self.requests[place]
                    self.requests[place] = Request(before.at_us, before.target, before.key, line.at_us)
            elif line.kind == "effect" or line.effect:
                if line.key:
                    self.effects[line.key] += 1
                else:
                    self.keyless += 1

    def _arrived(self, line: LedgerLine, begun: dict[tuple[str, str], int]) -> None:
        if line.key:
            self.seen[line.key] += 1
        if line.at_us is None:
            return
        if line.id:
            begun[line.target, line.id] = len(self.requests)
        self.requests.append(Request(line.at_us, line.target, line.key))
        if line.key:
            self.arrivals[line.key].append(line.at_us)


class Case:
    """The records that are there (``None``: not given) and what the export says of commits and owners."""

    def __init__(
        self,
        options: Options,
        client: list[Asked] | None,
        ledger: Ledger | None,
        targets: dict[str, TargetLimits] | None,
    ) -> None:
        self.options, self.client, self.ledger, self.targets = options, client, ledger, targets
        self.header: Header | None = None
        self.owners, self.trims = Owners(), Trims()
        self.checkpoints = Checkpoints(self.owners)
        self.calls: dict[tuple[str, str, int], list[Call]] = defaultdict(list)
        """Calls that succeeded, by run, chain and commit."""
        self.decided: dict[str, list[str]] = defaultdict(list)
        """By run: the verbs start, close and move as often as they were decided."""
        self.accepted: dict[str, int] = defaultdict(int)
        self.turns: list[Turn] = []
        self.returns: dict[str, list[int]] = defaultdict(list)
        """By run: when turns of it went back, as no node had its version."""
        self.steered: set[str] = set()
        """Runs that somebody paused or cancelled."""
        self.encrypted: set[str] = set()
        """Runs whose records cannot be looked at."""

    # -- the export's beginning ------------------------------------------------------------------------------------

    def take_node(self, node: Node) -> None:
        self.owners.take_node(node)

    def take_link(self, link: Link) -> None:
        self.checkpoints.take_link(link)
        try:
            decisions = _decisions(link.decisions)
            self.owners.take_link(link, decisions)
        except (msgspec.DecodeError, ValueError):
            # Whoever wrote this broke the chain, too: rule h says so.
            self.owners.take_link(link, [])
            return
        for one in decisions:
            self.trims.take(one)
            self.checkpoints.take(one)
            verb, run = str(one.get("verb", "")), str(one.get("run", ""))
            if verb == "dispatch" and not one.get("allow", True):
                self.returns[run].append(int(one.get("at_us", 0)))
            elif verb == "dispatch":
                self.turns.append(_turn(one, link, len(self.turns)))
            elif verb in ("pause", "cancel"):
                self.steered.add(run)
            if verb == "call" and not one.get("reason") and one.get("allow", True):
                self.calls[run, link.chain, link.n].append(_call(one))
            elif verb in ("start", "close", "move"):
                self.decided[run].append(verb)
            elif verb == "accept" and one.get("reason", "") != "duplicate":
                self.accepted[str(one.get("event", ""))] += 1

    def tenure(self, run: Run, record: RecordLine) -> Tenure | None:
        """Under which lease the record was written."""
        return self.owners.tenure(record.chain, record.n, run.line.id, run.pool(record.seq))

    def begun_before_cut(self, opened_us: int) -> bool:
        """Whether decisions about a run that was opened then may have gone with links that retention removed."""
        return opened_us <= self.checkpoints.until_us

    def dropped(self, run: str) -> bool:
        """Whether the run may have been there and is not, by right: retention removed it, as the chain says, or what
        would say so went with the chain's beginning."""
        if self.trims.covers(run):
            return True
        began_us = began_at_us(run)
        return began_us is not None and self.begun_before_cut(began_us)

    def gone(self, run: Run) -> bool:
        """Whether retention has removed the journal of this run and is about to remove the run itself."""
        return not run.segments and not run.records and self.trims.covers(run.line.id)

    # -- the client ------------------------------------------------------------------------------------------------

    def asked(self, kind: str, outcome: str | None = None) -> list[Asked]:
        """The client's requests of this kind; none when there is no log."""
        return [one for one in self.client or () if one.kind == kind and (outcome is None or one.outcome == outcome)]


def _call(decision: dict[str, Any]) -> Call:
    facts = decision.get("facts") or {}
    return Call(
        str(decision.get("subject", "")),
        str(facts.get("method", "")),
        int(facts.get("status", 0)),
        int(facts.get("attempt", 0)),
    )


def _turn(decision: dict[str, Any], link: Link, place: int) -> Turn:
    facts = decision.get("facts") or {}
    concurrency, per_key = facts.get("concurrency"), facts.get("per_key_concurrency")
    return Turn(
        str(decision.get("subject", "")),
        str(decision.get("run", "")),
        str(facts.get("fair_key", "")),
        int(facts.get("priority", 0)),
        int(facts.get("weight", 1)),
        None if concurrency is None else int(concurrency),
        None if per_key is None else int(per_key),
        int(decision.get("at_us", 0)),
        link.chain,
        link.n,
        place,
        link.epoch,
    )


class Rule(Protocol):
    """One rule: it is shown every run once, then gives its verdict."""

    def take(self, run: Run) -> None: ...

    def finish(self) -> RuleVerdict: ...
