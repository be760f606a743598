"""Look at queues, pause them and let them go on."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from rco.errors import NotFound
from rco.kit.clock import MICROS
from rco.model.decision import Decision, Verb
from rco.model.principal import Principal, Role
from rco.model.queue import Item, queue_shard
from rco.model.wire_queues import QueueKey, QueuePage, QueueView
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.store.contract.changes import Admission, Admitted
from rco.store.contract.queues import Counted, QueueState

__all__ = ["KEYS_MAX", "list_queues", "pause_queue", "resume_queue", "show_queue"]

KEYS_MAX = 100
"""Fairness keys that are shown of one queue."""
_RUNS_MAX = 100


async def list_queues(desk: Desk, principal: Principal) -> QueuePage:
    """Every declared queue, and those that runs wait in all the same, by name. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    return QueuePage(items=await _views(desk))


async def show_queue(desk: Desk, principal: Principal, name: str) -> QueueView:
    """One queue, with the first ``KEYS_MAX`` fairness keys of the principal's namespace that wait. Needs the viewer's
    role. Raises ``NotFound``."""
    require(principal, Role.VIEWER)
    view = next((one for one in await _views(desk) if one.name == name), None)
    if view is None:
        raise _unknown(name)
    return _with_keys(desk, view, await _waiting(desk, principal, name))


async def pause_queue(desk: Desk, principal: Principal, name: str, reason: str) -> QueueView:
    """Give no turns in this queue any more: what runs goes on, what comes waits. Needs the operator's role in every
    namespace there is, as all wait in it.

    Durable when this returns. Where another node gives the turns, it may give some more until it has heard, within
    seconds. A second call changes only who said so and why. Raises ``NotFound``.
    """
    return await _steer(desk, principal, name, reason, paused=True)


async def resume_queue(desk: Desk, principal: Principal, name: str, reason: str) -> QueueView:
    """Let a paused queue go on. Needs the operator's role. May be repeated. Raises ``NotFound``."""
    return await _steer(desk, principal, name, reason, paused=False)


async def _steer(desk: Desk, principal: Principal, name: str, reason: str, *, paused: bool) -> QueueView:
    require(principal, Role.OPERATOR)
    if desk.spaces is not None:
        # A queue is everybody's: who steers it steers what others wait for.
        desk.spaces.need_all(principal)
    if name not in {one.name for one in await _views(desk)}:
        raise _unknown(name)
    now_us, actor = desk.clock.now_us(), f"principal:{principal.principal_id}"
    state = QueueState(name, paused, now_us, actor, reason)
    decision = Decision(
        verb=Verb.QUEUE, at_us=now_us, actor=actor, subject=name, reason=reason, facts={"paused": paused}
    )
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def committed(_: Admitted) -> None:
        desk.dispatcher.set_paused(state)
        if not done.done():
            done.set_result(None)

    def failed(problem: BaseException) -> None:
        if not done.done():
            done.set_exception(problem)

    changes = desk.writer.changes(queue_shard(name))
    changes.queues.append(state)
    changes.admissions.append(Admission(done=committed, failed=failed, accepted=[decision]))
    changes.records += 1
    await done
    return next(one for one in await _views(desk) if one.name == name)


def _unknown(name: str) -> NotFound:
    return NotFound(f"no queue named {name!r}.", cure="See `rco queue list`; queues are declared under queues:.")


async def _views(desk: Desk) -> list[QueueView]:
    counts = {one.queue: one for one in await desk.reader.queue_counts()}
    states = {one.queue: one for one in await desk.reader.queue_states()}
    declared, now_us = desk.dispatcher.queues, desk.clock.now_us()
    views: list[QueueView] = []
    for name in sorted({*declared, *counts, *(one.queue for one in states.values() if one.paused)}):
        spec, state = declared.get(name), states.get(name)
        counted = counts.get(name) or Counted(name, 0, 0, 0, None)
        more: dict[str, Any] = {}
        if spec is not None:
            more = {
                "concurrency": spec.concurrency,
                "per_key_concurrency": spec.per_key_concurrency,
                "waiting_limit": spec.waiting_limit,
                "ordered": spec.ordered,
            }
        if state is not None and state.paused:
            more |= {"paused": True, "paused_by": state.actor, "reason": state.reason}
        views.append(
            QueueView(
                name=name,
                declared=spec is not None,
                waiting=counted.waiting,
                running=counted.running,
                held=counted.held,
                oldest_s=None if counted.oldest_us is None else max(0.0, (now_us - counted.oldest_us) / MICROS),
                **more,
            )
        )
    return views


async def _waiting(desk: Desk, principal: Principal, name: str) -> list[Item]:
    """The first runs of the keys that the principal may see."""
    prefix = "" if principal.namespace == "default" else f"{principal.namespace}/"
    mine: list[tuple[int, str]] = []
    after: tuple[int, str] | None = None
    while len(mine) < KEYS_MAX:
        page = await desk.reader.queue_keys(name, after, 500)
        if not page:
            break
        after = page[-1]
        mine += [one for one in page if one[1].startswith(prefix) and (prefix or "/" not in one[1])]
    return await desk.reader.queue_heads(name, mine[:KEYS_MAX], _RUNS_MAX)


def _with_keys(desk: Desk, view: QueueView, items: list[Item]) -> QueueView:
    now_us, spec = desk.clock.now_us(), desk.dispatcher.queues.get(view.name)
    by_key: dict[tuple[int, str], list[Item]] = {}
    for item in items:
        by_key.setdefault((item.priority, item.key), []).append(item)
    keys = [
        QueueKey(
            fair_key=key,
            priority=level,
            waiting=len(found),
            weight=1 if spec is None else spec.weights.get(key, 1),
            oldest_s=max(0.0, (now_us - found[0].since_us) / MICROS),
        )
        for (level, key), found in by_key.items()
    ]
    return msgspec.structs.replace(view, keys=keys)
