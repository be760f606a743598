"""Limits hold over all nodes, whatever dies, stands still or is cut off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rco.testing.checks.history import History
from rco.testing.limited import KEYED, METERED
from rco.testing.upstream import Sent

__all__ = ["kept"]

_BEGIN, _END = 1, 0


def kept(history: History) -> Iterator[str]:
    """As the world's own clock has it: a bucket of the rate and burst never runs empty, no more calls are under way
    than are allowed, and no more than the budget are sent. What a database forgot in a fail-over is not held against
    it."""
    if history.rewinds:
        return
    plan = history.plan
    keyed: dict[str, list[Sent]] = defaultdict(list)
    for sent in history.sent:
        if sent.target == KEYED:
            # A sole node keeps rate and concurrency in memory: each of its lives begins anew.
            keyed[sent.node if plan.nodes == 1 else ""].append(sent)
    for group in keyed.values():
        # A process that stands still between its last look and the write sends late. Among several nodes a slot is good
        # for so long only, and looked at again; a sole node keeps a bucket in memory.
        if plan.limit_rate is not None and not (plan.nodes == 1 and plan.pauses):
            yield from _rate(group, plan.limit_rate * (1 + plan.drift), plan.limit_burst)
        yield from _together(group, plan.limit_concurrency, plan.upstream_timeout_s)
    metered = sum(sent.target == METERED for sent in history.sent)
    if metered > plan.limit_budget:
        yield f"{metered} calls were sent within the hour, its budget is {plan.limit_budget}"


def _rate(sent: list[Sent], rate_per_s: float, burst: int) -> Iterator[str]:
    tokens, before = float(burst), 0.0
    for one in sorted(sent, key=lambda sent: sent.at_s):
        tokens = min(float(burst), tokens + (one.at_s - before) * rate_per_s) - 1
        before = one.at_s
        if tokens < -1e-6:
            yield f"more than {rate_per_s:g}/s with a burst of {burst}: {one.node} sent {one.step} at {one.at_s:.6f}"
            return


def _together(sent: list[Sent], concurrency: int, timeout_s: float) -> Iterator[str]:
    """A call is under way until its answer has come or its time is over, whether or not its node lives."""
    moments = []
    for one in sent:
        moments.append((one.at_s, _BEGIN, one))
        moments.append((min(one.ended_s[0] if one.ended_s else float("inf"), one.at_s + timeout_s), _END, one))
    under_way = 0
    for at_s, what, one in sorted(moments, key=lambda moment: moment[:2]):
        under_way += 1 if what == _BEGIN else -1
        if under_way > concurrency:
            yield f"{under_way} calls at once, {concurrency} are allowed: {one.node} sent {one.step} at {at_s:.6f}"
            return
