"""From answers to figures, and from figures to what was reached."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

from bench.peers.contract import Peer
from bench.peers.reaches import QUESTIONS, REACHES, Asked, Bound
from rco.measure.usage import percentile

__all__ = ["NOT_ASKED", "Figure", "Heard", "Judged", "Report", "asks", "figures", "heard", "judged"]

NOT_ASKED = "not asked in this run"
_PERCENTILE = {"one-step": 50, "timers": 99}


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of one round, or why there is none (``failed``)."""

    peer: str
    round: int
    question: str
    value: float | None = None
    cpu_s_per_1000: float | None = None
    settings: dict[str, Any] = {}
    failed: str = ""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One peer's figure for one question: the median of the rounds that gave one. ``value`` is absent when none did, or
    when the peer was not asked; ``missing`` then says why. ``failures``: rounds that gave none, in words."""

    question: str
    peer: str
    name: str
    kind: str
    value: float | None
    unit: str
    cpu_s_per_1000: float | None
    durability: str
    settings: dict[str, Any]
    versions: dict[str, str]
    installed: str
    by_round: dict[int, float]
    missing: str = ""
    failures: list[str] = []


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One reach for one of our stores. ``reached`` is absent when there is nothing to hold it against."""

    question: str
    reach: str
    ours: str
    against: str
    ratio: float | None
    reached: bool | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of one run, as it is written to JSON."""

    machine: dict[str, Any]
    figures: list[Figure]
    reaches: list[Judged]


def heard(peer: str, round: int, line: dict[str, Any]) -> list[Heard]:
    """What one line of a child comes to. Raises ``KeyError`` or ``ValueError`` for one that is no answer."""
    question = line["question"]
    if "failed" in line:
        said = [Heard(peer=peer, round=round, question=question, failed=line["failed"])]
        return [*said, msgspec.structs.replace(said[0], question="cpu")] if question == "steps-100" else said
    count, took_s, cpu_s = line["count"], line["took_s"], line["cpu_s"]
    if count < 1 or not took_s > 0:
        raise ValueError(f"{question}: {count} in {took_s} s is no answer")
    cost = None if cpu_s is None else cpu_s / count * 1000
    if question in _PERCENTILE:
        value = percentile(line["waits_ms"], _PERCENTILE[question])
    elif question == "recovery":
        value = took_s
    else:
        value = count / took_s
    settings = line["settings"]
    found = [Heard(peer=peer, round=round, question=question, value=value, cpu_s_per_1000=cost, settings=settings)]
    if question == "steps-100":
        found.append(msgspec.structs.replace(found[0], question="cpu", value=cost))
    return found


def asks(peer: Peer, question: str) -> bool:
    """Whether the question is one for this kind of peer at all: then it has a row, if only with the reason."""
    return peer.kind == "ours" or (question == "webhooks") == (peer.kind == "ingest")


def figures(
    peers: Sequence[Peer], answers: Sequence[Heard], unavailable: dict[str, str], versions: dict[str, dict[str, str]]
) -> list[Figure]:
    """Every question of every peer, in the order of the table. ``unavailable``: why a peer could not be asked at all.

    A figure is made of answers alone: where there is none, ``value`` is absent and ``missing`` says why.
    """
    found = []
    for asked in QUESTIONS:
        for peer in peers:
            if asks(peer, asked.name):
                mine = [one for one in answers if (one.peer, one.question) == (peer.name, asked.name)]
                why = unavailable.get(peer.name) or peer.declines.get(asked.name) or ""
                found.append(_figure(asked, peer, mine, why, versions.get(peer.name, {})))
    return found


def _figure(asked: Asked, peer: Peer, mine: Sequence[Heard], why: str, versions: dict[str, str]) -> Figure:
    good = {one.round: one.value for one in mine if one.value is not None}
    costs = [one.cpu_s_per_1000 for one in mine if one.cpu_s_per_1000 is not None]
    failures = [one.failed for one in mine if one.failed]
    return Figure(
        question=asked.name,
        peer=peer.name,
        name=peer.text,
        kind=peer.kind,
        value=statistics.median(good.values()) if good else None,
        unit=asked.unit,
        cpu_s_per_1000=statistics.median(costs) if costs else None,
        durability=peer.durability,
        settings=next((one.settings for one in reversed(mine) if one.value is not None), {}),
        versions=versions,
        installed=peer.installed,
        by_round=good,
        missing="" if good else why or (failures[-1] if failures else NOT_ASKED),
        failures=failures,
    )


def judged(found: Sequence[Figure]) -> list[Judged]:
    """Every reach for each of our stores."""
    return [
        _judged(bound, ours, [one for one in found if one.question == bound.question and _in(one, bound)])
        for bound in REACHES
        for ours in found
        if ours.kind == "ours" and ours.question == bound.question
    ]


def _in(one: Figure, bound: Bound) -> bool:
    return one.value is not None and any(
        one.kind == name or one.peer == name or (name.endswith("*") and one.peer.startswith(name[:-1]))
        for name in bound.peers
    )


def _judged(bound: Bound, ours: Figure, others: Sequence[Figure]) -> Judged:
    """The best by its median is whom we are held against; the ratio is the median of those of the rounds both have."""
    more = next(asked.more for asked in QUESTIONS if asked.name == bound.question)
    best = (max if more else min)(others, key=lambda one: one.value or 0.0, default=None)
    ratios = [] if best is None else [ours.by_round[n] / best.by_round[n] for n in ours.by_round if n in best.by_round]
    ratio = statistics.median(ratios) if ratios else None
    reached = None if ratio is None else ratio >= bound.factor if more else ratio <= bound.factor
    against = "" if best is None else best.name
    return Judged(
        question=bound.question, reach=bound.text, ours=ours.name, against=against, ratio=ratio, reached=reached
    )
