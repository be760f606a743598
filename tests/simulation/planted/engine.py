"""What the engine makes of a run: its steps, timers, messages and evidence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.simulation.planted.planting import Planted

from rco.engine import replaying
from rco.engine.effects import Effects
from rco.engine.loading import Loading
from rco.engine.operation import Effect
from rco.engine.options import EngineOptions
from rco.engine.owner import Owner
from rco.engine.parking import Parking
from rco.engine.sending import Sending
from rco.engine.timing import Timers
from rco.engine.waiting import Waits
from rco.model.effect import Answer, EffectFailed
from rco.model.journal import Kind
from rco.model.run import Outcome
from rco.model.target import Repeat
from rco.testing import transaction
from rco.testing.store import ModelKeeper
from rco.workflow import probe as probe_module
from rco.workflow.context import Context

__all__ = ["PLANTED"]


def arm_before_commit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Effect, "outside", False)


def forget_what_was_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Waits, "_forget", lambda *_: None)
    patch.setattr(Waits, "_note_taken", lambda *_: None)
    patch.setattr(replaying, "_message_id", lambda _: "")


def early_timers(patch: pytest.MonkeyPatch) -> None:
    def call_at(self: Timers, live: Any, key: str, due_us: int, then: Any, *arguments: Any) -> None:
        delay_s = max(0.0, (due_us - self._owner.clock.now_us()) / 2e6)
        live.timers[key] = self._owner.loop.call_later(delay_s, self._due, live, key, 0, then, arguments)

    patch.setattr(Timers, "call_at", call_at)


def early_retries(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Effects, live: Any, op: Any) -> None:
        op.due_us = 0
        live.timers[op.key] = self._owner.loop.call_later(0, self._retry_due, live, op)

    patch.setattr(Effects, "_wait_for_retry", at_once)


def lose_messages_while_parking(patch: pytest.MonkeyPatch) -> None:
    wake = Loading.wake

    def forgetful(self: Loading, run_id: bytes) -> None:
        live = self._owner.live.get(run_id)
        if live is not None:
            wake(self, run_id)

    patch.setattr(Loading, "wake", forgetful)


def end_steps_twice(patch: pytest.MonkeyPatch) -> None:
    append = Owner.append

    def twice(self: Owner, live: Any, record: Any, packed: bytes | None = None) -> None:
        append(self, live, record, packed)
        if record.kind == Kind.STEP_END:
            live.draft.parts.extend(live.draft.parts[-2:])
            live.draft.records += 1
            live.seq += 1

    patch.setattr(Owner, "append", twice)


def no_compensations(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Context, "compensate", lambda *_: None)


def no_intent(patch: pytest.MonkeyPatch) -> None:
    arm = Effects.arm

    def straight(self: Effects, live: Any, op: Any) -> None:
        if op.repeat is Repeat.NEVER and not (op.doubt or op.written or op.intent):
            self.begin(live, op)
        else:
            arm(self, live, op)

    patch.setattr(Effects, "arm", straight)


def repeat_what_may_not_be(patch: pytest.MonkeyPatch) -> None:
    def again(self: Effects, live: Any, op: Any, why: str) -> None:
        op.intent = False
        op.written = False
        self._owner.hold(live, op)

    patch.setattr(Effects, "_in_doubt", again)


def out_of_order(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Sending, outcome: Any, message: Any) -> None:
        live = self._owner.live.get(message.run_id)
        if outcome.status == "accepted" and live is not None:
            self._deliver(live, message)

    patch.setattr(Sending, "_deliver_if", at_once)


def begin_again(patch: pytest.MonkeyPatch) -> None:
    """An attempt is made once more when its step has ended."""
    done = Effects._done

    def twice(self: Effects, live: Any, op: Any, answer: Any) -> None:
        done(self, live, op, answer)
        self._owner.loop.call_later(0.2, lambda: self._owner.loop.create_task(self._attempt(live, op)))

    patch.setattr(Effects, "_done", twice)


def attempt_twice(patch: pytest.MonkeyPatch) -> None:
    begin = Effects.begin

    def twice(self: Effects, live: Any, op: Any) -> None:
        begin(self, live, op)
        begin(self, live, op)

    patch.setattr(Effects, "begin", twice)


def take_loss_for_success(patch: pytest.MonkeyPatch) -> None:
    lost = Effects._lost

    def hopeful(self: Effects, live: Any, op: Any, problem: EffectFailed) -> None:
        if problem.ambiguous and op.repeat is not Repeat.NEVER:
            self._done(live, op, Answer({"status": 200, "headers": {}, "body": {}}))
        else:
            lost(self, live, op, problem)

    patch.setattr(Effects, "_lost", hopeful)


def another_event(patch: pytest.MonkeyPatch) -> None:
    body = transaction.event_body
    patch.setattr(transaction, "event_body", lambda event: body(msgspec.structs.replace(event, id=event.id + "x")))


def unsealed_segment(patch: pytest.MonkeyPatch) -> None:
    write = transaction.Transaction.write

    def forget(self: Any) -> Any:
        committed = write(self)
        for key, segments in self._tables.segments.items():
            if len(segments) > 2:
                self._tables.segments[key] = segments[:-1]
        return committed

    patch.setattr(transaction.Transaction, "write", forget)


def close_otherwise(patch: pytest.MonkeyPatch) -> None:
    end = transaction.Transaction._end

    def failed(self: Any, ended: Any) -> None:
        end(self, msgspec.structs.replace(ended, outcome=Outcome.FAILED))

    patch.setattr(transaction.Transaction, "_end", failed)


def stumble(patch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("nobody handles this")

    patch.setattr(Waits, "_expire", broken)


def sleep_over_unread_mail(patch: pytest.MonkeyPatch) -> None:
    """What a sole owner was told before it died in the commit's own turn."""
    patch.setattr(ModelKeeper, "on_mail", lambda *_: None)


def wake_what_was_parked(patch: pytest.MonkeyPatch) -> None:
    """A run that has nothing to do is loaded again as soon as it has left memory."""
    parked = Parking._parked

    def restless(self: Parking, live: Any, due_us: int | None) -> None:
        parked(self, live, due_us)
        self._wake(live.run_id)

    patch.setattr(Parking, "_parked", restless)


def hear_what_comes_before_what_came(patch: pytest.MonkeyPatch) -> None:
    """A run counts as up to date when its inbox was read, whatever came while it was read."""

    def at_once(self: Loading, live: Any, *, by: bool) -> None:
        del by
        live.read = True
        if live.committed == live.seq and not live.ending:
            self._owner.on_idle(live)

    patch.setattr(Loading, "_inbox_read", at_once)


def believe_absence_at_once(patch: pytest.MonkeyPatch) -> None:
    """A request that is still on its way is taken for one that never was."""
    made = probe_module._rest
    patch.setattr(probe_module, "_rest", lambda grace_s, *rest: made(0.0, *rest))


PLANTED: list[Planted] = [
    (arm_before_commit, "durable", {}),
    (forget_what_was_taken, "signals", {"crashes": 4}),
    (early_timers, "timers", {}),
    (early_retries, "retries", {"refuse": 0.3, "clock_jumps": 0}),
    (lose_messages_while_parking, "live", {"nodes": 1}),
    (
        sleep_over_unread_mail,
        "live",
        {"nodes": 1, "crashes": 12, "lost_answer": 0.3, "options": EngineOptions(park_after_s=0.0)},
    ),
    (end_steps_twice, "journals", {}),
    (no_compensations, "undo", {}),
    (no_intent, "once", {}),
    (repeat_what_may_not_be, "once", {"crashes": 4, "nodes": 1}),
    (
        hear_what_comes_before_what_came,
        "live",
        {"from": 40, "nodes": 1, "pause": 0.8, "runs": 40, "read_s": (0.02, 0.2)},
    ),
    (out_of_order, "order", {"from": 30, "nodes": 3, "runs": 40}),
    (begin_again, "finished", {"nodes": 1}),
    (attempt_twice, "repeats", {"nodes": 1}),
    (take_loss_for_success, "effects", {"lose_before": 0.2}),
    (another_event, "events", {}),
    (unsealed_segment, "evidence", {}),
    (close_otherwise, "outcomes", {}),
    (stumble, "quiet", {}),
    (believe_absence_at_once, "probes", {"slow": 0.4}),
    (wake_what_was_parked, "idle", {"nodes": 1, "options": EngineOptions(park_after_s=0.0)}),
]
