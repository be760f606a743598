"""Compares the three records. Each was written by another party; only if all three agree was nothing lost or doubled.

Pure functions: the tests plant a lost event, a doubled effect and the rest, and see each of them found.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from examples.orders.records import Effect, Evidence, Run, Told

__all__ = ["DOUBLED", "LOST", "STRAY", "Finding", "compare", "percentiles"]

LOST = "lost"
"""Something was promised and is not there."""
DOUBLED = "doubled"
"""Something happened more often than it should."""
STRAY = "stray"
"""Something is there that nobody asked for, or that one record does not know of."""

UNDO = {"reserved": "released", "charged": "refunded"}
DONE = ("reserved", "charged", "shipped")


@dataclass(frozen=True)
class Finding:
    """One disagreement. ``kind`` is ``lost``, ``doubled`` or ``stray``."""

    kind: str
    what: str


def compare(told: list[Told], effects: list[Effect], evidence: Evidence) -> list[Finding]:
    """Everything on which the three records disagree. Empty: they agree."""
    by_corr: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs.values():
        by_corr[run.corr_id].append(run)
    return [
        *_answers(told),
        *_starts(told, by_corr),
        *_closings(evidence.runs.values()),
        *_keys(effects, evidence.runs.values()),
        *_orders(told, effects, by_corr),
    ]


def _accepted(told: Iterable[Told]) -> dict[str, Told]:
    """The first answer that accepted each delivery."""
    found: dict[str, Told] = {}
    for one in told:
        if one.status == 202 and (one.delivery not in found or found[one.delivery].duplicate):
            found[one.delivery] = one
    return found


def _answers(told: list[Told]) -> Iterable[Finding]:
    """What the sender was told makes sense by itself."""
    accepted = _accepted(told)
    corr_ids: dict[str, set[str]] = defaultdict(set)
    firsts: Counter[str] = Counter()
    unanswered = {one.delivery for one in told if one.status == 0}
    for one in told:
        if one.status == 202:
            corr_ids[one.delivery].add(one.corr_id)
            firsts[one.delivery] += not one.duplicate
            if not one.valid:
                yield Finding(STRAY, f"delivery {one.delivery} ({one.kind}) was accepted and should have been refused")
    for delivery in sorted({one.delivery for one in told if one.valid} - set(accepted)):
        yield Finding(LOST, f"delivery {delivery} was valid and never accepted")
    for delivery, ids in corr_ids.items():
        if len(ids) > 1:
            yield Finding(DOUBLED, f"delivery {delivery} was accepted under {len(ids)} correlation ids")
        if firsts[delivery] > 1:
            yield Finding(DOUBLED, f"delivery {delivery} was accepted as new {firsts[delivery]} times")
        if firsts[delivery] == 0 and delivery not in unanswered:
            yield Finding(STRAY, f"delivery {delivery} was called a duplicate although it was new")


def _starts(told: list[Told], by_corr: dict[str, list[Run]]) -> Iterable[Finding]:
    """Each accepted delivery started the runs it should have, each once; nothing else started any."""
    known: set[str] = set()
    for delivery, one in _accepted(told).items():
        known.add(one.corr_id)
        runs = Counter(run.workflow for run in by_corr.get(one.corr_id, []))
        for workflow in one.workflows:
            if runs[workflow] == 0:
                yield Finding(LOST, f"delivery {delivery} was accepted, but no run of {workflow} began")
        for workflow, count in runs.items():
            if count > 1:
                yield Finding(DOUBLED, f"delivery {delivery} began {count} runs of {workflow}")
            if not one.workflows:
                yield Finding(STRAY, f"delivery {delivery} began a run of {workflow} that nobody subscribed")
    for corr_id in sorted(set(by_corr) - known):
        yield Finding(STRAY, f"{len(by_corr[corr_id])} run(s) under {corr_id!r}, which no sender was told was accepted")


def _closings(runs: Iterable[Run]) -> Iterable[Finding]:
    """Each run closed exactly once."""
    for run in runs:
        if run.closed_times == 0:
            yield Finding(LOST, f"run {run.run_id} of {run.workflow} never closed")
        elif run.closed_times > 1:
            yield Finding(DOUBLED, f"run {run.run_id} of {run.workflow} closed {run.closed_times} times")


def _keys(effects: list[Effect], runs: Iterable[Run]) -> Iterable[Finding]:
    """Each key the services answered is one that a run asked with, and was answered once."""
    asked = {key for run in runs for key in run.keys}
    for (service, key), count in Counter((one.service, one.key) for one in effects).items():
        if count > 1:
            yield Finding(DOUBLED, f"{service} did what key {key} asks {count} times")
        if key not in asked:
            yield Finding(STRAY, f"{service} did what key {key} asks, but no run's journal knows of it")


def _orders(told: list[Told], effects: list[Effect], by_corr: dict[str, list[Run]]) -> Iterable[Finding]:
    """Each order had the effects that its run's outcome says, each once, whatever keys they came under."""
    done: dict[str, Counter[str]] = defaultdict(Counter)
    for effect_line in effects:
        if effect_line.effect:
            done[effect_line.order][effect_line.effect] += 1
    for delivery, one in _accepted(told).items():
        had = done[one.about]
        for effect, count in had.items():
            if count > 1:
                yield Finding(DOUBLED, f"{one.about} was {effect} {count} times")
        mine = {run.workflow: run for run in by_corr.get(one.corr_id, [])}
        if "triage" in mine and mine["triage"].outcome == "completed" and not had["recount"]:
            yield Finding(LOST, f"{one.about}: its run completed, but no recount was asked for")
        fulfil, survey = mine.get("fulfil"), mine.get("survey")
        if fulfil is None or survey is None:
            continue
        if fulfil.outcome == "completed":
            for effect in DONE:
                if not had[effect]:
                    yield Finding(LOST, f"{one.about} is fulfilled, but was never {effect}")
            for undo in UNDO.values():
                if had[undo]:
                    yield Finding(STRAY, f"{one.about} is fulfilled, but was {undo}")
            if not survey.woken_us and fulfil.closed_us < survey.closed_us:
                yield Finding(LOST, f"{one.about} was fulfilled, but the run that waited for it was not woken")
        elif fulfil.outcome:
            for effect, undo in UNDO.items():
                if had[effect] and not had[undo]:
                    yield Finding(LOST, f"{one.about} was {effect} and its run {fulfil.outcome}, but was not {undo}")
            if had["shipped"]:
                yield Finding(STRAY, f"{one.about} was shipped, but its run {fulfil.outcome}")
        if one.kind == "order" and fulfil.outcome and fulfil.outcome != "completed":
            yield Finding(LOST, f"delivery {delivery}: {one.about} should have been fulfilled, but {fulfil.outcome}")


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """p50, p95 and p99 by nearest rank; zeros for nothing."""
    if not values:
        return (0.0, 0.0, 0.0)
    ordered = sorted(values)
    return tuple(ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.50, 0.95, 0.99))  # type: ignore[return-value]
