"""Arming effects: attempts, durable retries, deadlines, and what is *in doubt*."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rco.engine.live import Live
from rco.engine.operation import Effect
from rco.engine.owner import Owner
from rco.engine.referring import Referring
from rco.errors import CodeChanged, Misuse
from rco.kit.canonical import canonical_json
from rco.kit.clock import MICROS
from rco.kit.ids import id_text
from rco.kit.places import place_of
from rco.model.decision import Decision, Verb
from rco.model.effect import Answer, Attempt, EffectFailed
from rco.model.journal import Kind, Record, encode_body
from rco.model.payload import as_value
from rco.model.run import Mode
from rco.model.target import Repeat
from rco.store.contract.changes import Moved

__all__ = ["Effects"]

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_PLAIN = (str, int, float, bool, type(None))
MESSAGE_LIMIT = 2_000
_TIDY_AT = 1_000


class Effects:
    """Starts attempts and writes down what came of them."""

    def __init__(self, owner: Owner, random: Any) -> None:
        self._owner = owner
        self._random = random
        self.ok = 0
        self.failed = 0
        self.retried = 0
        self.doubted = 0
        self.on_doubt: Callable[[Live, Effect[Any]], None] = _wait
        """Told of every step that is in doubt, when it comes to be and when it is loaded."""
        self.watching: Callable[[Live, Effect[Any]], Callable[[Attempt], Awaitable[Any]]] | None = None
        """Gives what makes an attempt in place of ``op.perform``: it does that, and sees what becomes of it."""
        self.referring: Referring | None = None
        """Who keeps results that are too large for the journal."""
        self._held_off: dict[tuple[bytes, str], tuple[Live, Effect[Any]]] = {}
        """Those in memory that wait because something is closed or used up."""
        self._tidy_at = _TIDY_AT

    # -- arming ----------------------------------------------------------------------------------------------------

    def arm(self, live: Live, op: Effect[Any]) -> None:
        owner = self._owner
        if op.doubt:
            self.on_doubt(live, op)
            return
        if op.written:
            self.begin(live, op)
        elif op.intent:
            # The intent is on record and the end is not: a crash came between.
            self._in_doubt(live, op, "the service stopped while the call was under way")
        elif op.due_us and op.due_us > owner.clock.now_us():
            self._wait_for_retry(live, op)
        elif op.repeat is Repeat.NEVER:
            if not owner.may_act(live, op):
                return
            op.written = True
            owner.append(live, Record(Kind.STEP_INTENT, op.key, owner.clock.now_us(), op.fp, op.tried + 1))
            owner.hold(live, op)
        else:
            self.begin(live, op)

    def begin(self, live: Live, op: Effect[Any]) -> None:
        """Make one attempt now."""
        if not self._owner.may_act(live, op):
            if op.written and self._owner.draining:
                self.take_back(live, op)
            return
        live.tasks[op.key] = self._owner.loop.create_task(self._attempt(live, op))

    def take_back(self, live: Live, op: Effect[Any]) -> None:
        """An intent is on record, and the node stops, or the run is paused, before the attempt begins: say that it
        never did, or whoever goes on would be in doubt of it."""
        op.written = False
        now = self._owner.clock.now_us()
        body = [op.tried, now, {"code": "not_begun", "kind": "Stopping", "message": "it was stopped before it began"}]
        self._owner.append(live, Record(Kind.STEP_RETRY, op.key, now, op.fp, body))

    def drop(self, live: Live, op: Effect[Any]) -> None:
        task = live.tasks.pop(op.key, None)
        if task is not None:
            task.cancel()
        handle = live.timers.pop(op.key, None)
        if handle is not None:
            handle.cancel()

    # -- attempts --------------------------------------------------------------------------------------------------

    async def _attempt(self, live: Live, op: Effect[Any]) -> None:
        if not self._owner.may_act(live, op):
            # The process was stopped between the beginning and this turn of the loop, for longer than its lease.
            live.tasks.pop(op.key, None)
            return
        attempt = Attempt(live.run_id, op.key, op.tried + 1, live.corr_id, live.span, live.namespace)
        perform = op.perform if self.watching is None else self.watching(live, op)
        try:
            if op.timeout_s is None:
                answer = await perform(attempt)
            else:
                async with asyncio.timeout(op.timeout_s):
                    answer = await perform(attempt)
        except EffectFailed as problem:
            self._lost(live, op, problem)
        except TimeoutError as problem:
            text = f"no result within {op.timeout_s:g} s" if op.timeout_s is not None else str(problem) or "timed out"
            self._lost(live, op, EffectFailed(text, kind="TimeoutError", code="timed_out", ambiguous=True))
        except asyncio.CancelledError:
            if live.machine.pending.get(op.key) is op and not live.ending and not _being_cancelled():
                self._lost(live, op, EffectFailed("the step cancelled itself", kind="CancelledError"))
                return
            raise
        except CodeChanged as changed:
            # What the effect left behind elsewhere was made by other code: like a journal that does not fit.
            if live.machine.pending.get(op.key) is op and not live.ending:
                self._owner.block(live, {"cause": "code changed", "message": changed.message, "diff": changed.diff})
        except Misuse as problem:
            self._lost(live, op, EffectFailed(str(problem), kind="Misuse", code="step_failed", retryable=False))
        except Exception as problem:  # noqa: BLE001 - an author's step may raise anything; it becomes data
            self._lost(live, op, EffectFailed(str(problem), kind=type(problem).__name__, where=place_of(problem)))
        else:
            self._done(live, op, answer)

    def _done(self, live: Live, op: Effect[Any], answer: Any) -> None:
        owner = self._owner
        if live.machine.pending.get(op.key) is not op or live.ending:
            return
        live.tasks.pop(op.key, None)
        decisions: tuple[Decision, ...] = ()
        if type(answer) is Answer:
            answer, decisions = answer.value, answer.decisions
        try:
            if type(answer) not in _PLAIN:
                packed = _pack(answer)
                if len(packed) > owner.options.value_limit_bytes:
                    raise ValueError(f"it is {len(packed)} bytes, the limit is {owner.options.value_limit_bytes}")
                # What the workflow sees now must be what it will see in a replay.
                answer = _unpack(packed)
                if len(packed) > owner.over_bytes:
                    self._by_reference(live, op, answer, packed, decisions)
                    return
            elif type(answer) is str and len(answer) > owner.over_bytes:
                self._by_reference(live, op, answer, _pack(answer), decisions)
                return
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as problem:
            text = f"the result cannot be stored: {problem}. Return plain data (dict, list, str, numbers)."
            self._end(
                live, op, [0, {"code": "step_failed", "kind": "Misuse", "message": text}, op.tried + 1], decisions
            )
            return
        self.ok += 1
        if decisions:
            owner.changes(live.run_id, live.shard).decisions.extend(decisions)
        owner.append(live, Record(Kind.STEP_END, op.key, owner.clock.now_us(), op.fp, [1, answer, op.tried + 1]))
        owner.drive(live)

    def _by_reference(
        self, live: Live, op: Effect[Any], answer: Any, packed: bytes, decisions: tuple[Decision, ...]
    ) -> None:
        """The step is done, and its result waits until it is kept; the attempt counts as under way until then."""
        live.tasks[op.key] = self._owner.loop.create_task(self._keep(live, op, answer, packed, decisions))

    async def _keep(
        self, live: Live, op: Effect[Any], answer: Any, packed: bytes, decisions: tuple[Decision, ...]
    ) -> None:
        assert self.referring is not None
        kept = await self.referring.insist(live, packed)
        owner = self._owner
        if live.machine.pending.get(op.key) is not op or live.ending:
            return
        live.tasks.pop(op.key, None)
        self.ok += 1
        if decisions:
            owner.changes(live.run_id, live.shard).decisions.extend(decisions)
        record = Record(Kind.STEP_END, op.key, owner.clock.now_us(), op.fp, [1, answer, op.tried + 1])
        stored = None
        if kept.reference is not None:
            stored = encode_body(record, [1, as_value(kept.reference), op.tried + 1])
            owner.use(live.shard, live.run_id, live.namespace, kept.reference)
        owner.append(live, record, stored)
        owner.drive(live)

    def _end(self, live: Live, op: Effect[Any], body: list[Any], decisions: tuple[Decision, ...]) -> None:
        owner = self._owner
        if decisions:
            owner.changes(live.run_id, live.shard).decisions.extend(decisions)
        owner.append(live, Record(Kind.STEP_END, op.key, owner.clock.now_us(), op.fp, body))
        owner.drive(live)

    def _lost(self, live: Live, op: Effect[Any], problem: EffectFailed) -> None:
        """An attempt failed: try again later, ask a person, use the fallback, or tell the workflow."""
        owner = self._owner
        if live.machine.pending.get(op.key) is not op or live.ending:
            return
        live.tasks.pop(op.key, None)
        if problem.ambiguous and op.repeat is Repeat.NEVER:
            owner.changes(live.run_id, live.shard).decisions.extend(problem.decisions)
            self._in_doubt(live, op, problem.message)
            return
        if problem.waits:
            self._retry(live, op, problem, op.tried)
            self._hold_off(live, op)
            return
        tried = op.tried + 1
        if problem.retryable and tried < op.policy.attempts:
            self._retry(live, op, problem, tried)
            return
        if op.fallback is not None and problem.code != "call_refused":
            value = op.fallback()
            if value is not None:
                self.ok += 1
                self._end(live, op, [1, value, tried], problem.decisions)
                return
        self.failed += 1
        data = _told(problem)
        if problem.data is not None:
            data["data"] = problem.data
        self._end(live, op, [0, data, tried], problem.decisions)

    def _retry(self, live: Live, op: Effect[Any], problem: EffectFailed, tried: int) -> None:
        owner = self._owner
        now = owner.clock.now_us()
        delay_s = max(op.policy.backoff.delay_s(max(1, tried), self._random), problem.retry_after_s or 0.0)
        due_us = now + int(delay_s * MICROS)
        self.retried += 1
        changes = owner.changes(live.run_id, live.shard)
        changes.decisions.extend(problem.decisions)
        changes.decisions.append(
            Decision(
                verb=Verb.RETRY,
                at_us=now,
                subject=op.name,
                run=id_text(live.run_id),
                corr_id=live.corr_id,
                reason=problem.kind,
                facts={"step": op.key, "attempt": tried, "delay_ms": int(delay_s * 1000)},
            )
        )
        body = [tried, due_us, _told(problem)]
        op.written = False
        owner.append(live, Record(Kind.STEP_RETRY, op.key, now, op.fp, body))
        self._wait_for_retry(live, op)
        owner.drive(live)

    def _wait_for_retry(self, live: Live, op: Effect[Any]) -> None:
        delay_s = max(0.0, (op.due_us - self._owner.clock.now_us()) / MICROS)
        live.timers[op.key] = self._owner.loop.call_later(delay_s, self._retry_due, live, op)

    def hasten(self) -> None:
        """Something was opened: what waits here because it could not be let out asks again at once."""
        held_off, self._held_off = self._held_off, {}
        for live, op in held_off.values():
            handle = live.timers.pop(op.key, None)
            if handle is not None:
                handle.cancel()
                op.due_us = 0
                self._retry_due(live, op)

    def _hold_off(self, live: Live, op: Effect[Any]) -> None:
        held_off = self._held_off
        held_off[live.run_id, op.key] = (live, op)
        if len(held_off) >= self._tidy_at:
            # Runs that were parked or ended meanwhile are forgotten.
            gone = [key for key, (one, other) in held_off.items() if one.ending or other.key not in one.timers]
            for key in gone:
                del held_off[key]
            self._tidy_at = 2 * len(held_off) + _TIDY_AT

    def _retry_due(self, live: Live, op: Effect[Any]) -> None:
        if self._held_off:
            self._held_off.pop((live.run_id, op.key), None)
        live.timers.pop(op.key, None)
        if live.machine.pending.get(op.key) is op and not live.ending:
            self._owner.hold(live, op)

    # -- doubt -----------------------------------------------------------------------------------------------------

    def _in_doubt(self, live: Live, op: Effect[Any], why: str) -> None:
        """The call may have happened and may not be repeated: say so, and wait to be settled."""
        owner = self._owner
        now = owner.clock.now_us()
        self.doubted += 1
        changes = owner.changes(live.run_id, live.shard)
        detail = canonical_json({"cause": "in doubt", "step": op.key, "name": op.name, "message": why})
        changes.moved.append(Moved(live.run_id, Mode.IN_DOUBT, None, detail, live.namespace))
        changes.decisions.append(
            Decision(
                verb=Verb.CALL,
                at_us=now,
                allow=False,
                subject=op.name,
                run=id_text(live.run_id),
                corr_id=live.corr_id,
                reason="in_doubt",
                facts={"step": op.key, "attempt": op.tried + 1},
            )
        )
        owner.append(live, Record(Kind.IN_DOUBT, op.key, now, op.fp, why[:MESSAGE_LIMIT]))
        self.on_doubt(live, op)
        owner.drive(live)

    def settle(self, live: Live, op: Effect[Any], verdict: str, value: Any, reason: str, actor: str) -> None:
        """Go on after doubt: ``done`` with ``value``, ``failed``, or ``again`` (make another attempt)."""
        owner = self._owner
        # A probe that is being asked is asked no more.
        self.drop(live, op)
        now = owner.clock.now_us()
        owner.append(
            live, Record(Kind.SETTLED, op.key, now, op.fp, {"verdict": verdict, "reason": reason, "actor": actor})
        )
        others = any(isinstance(other, Effect) and other.doubt for other in live.machine.pending.values())
        if not others:
            owner.changes(live.run_id, live.shard).moved.append(Moved(live.run_id, Mode.HOT))
        if verdict == "done":
            self._end(live, op, [1, value, op.tried + 1], ())
        elif verdict == "failed":
            data = {"code": "step_failed", "kind": "Settled", "message": reason[:MESSAGE_LIMIT]}
            self._end(live, op, [0, data, op.tried + 1], ())
        else:
            op.written = False
            owner.hold(live, op)


def _wait(live: Live, op: Effect[Any]) -> None:
    """A person settles it."""
    del live, op


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _told(problem: EffectFailed) -> dict[str, Any]:
    """What the journal keeps of a failed attempt, but for its data."""
    told: dict[str, Any] = {"code": problem.code, "kind": problem.kind, "message": problem.message[:MESSAGE_LIMIT]}
    if problem.where:
        told["where"] = problem.where
    return told
