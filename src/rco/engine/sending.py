"""Messages to runs: signals, commands and verdicts, durable when the sender is told so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from rco.engine.live import Live
from rco.engine.operation import Effect
from rco.engine.owner import Owner
from rco.engine.referring import Referring
from rco.engine.submitting import Submitting
from rco.errors import NotFound, Overloaded
from rco.kit.ids import id_text
from rco.model.decision import Decision
from rco.model.message import Message
from rco.model.payload import as_value, loaded
from rco.model.run import RunRow, shard_of
from rco.store.contract.changes import Admission, Admitted
from rco.store.contract.payloads import PayloadUse, run_uses

__all__ = ["Sending", "ignore"]

_pack = msgspec.msgpack.Encoder().encode


class Sending:
    """Puts messages into the inboxes of runs; ``deliver`` takes one to a run that is in memory."""

    def __init__(
        self, owner: Owner, submitting: Submitting, referring: Referring, deliver: Callable[[Live, Message], None]
    ) -> None:
        self._owner, self._submit, self._referring, self._deliver = owner, submitting.submit, referring, deliver
        self._alone = owner.ownership.shards() is None

    async def signal(
        self, run_id: bytes, name: str, value: Any, message_id: str, decision: Decision, namespace: str = "default"
    ) -> bool:
        """Send a signal. When this returns it is durable: taken exactly once, or listed as unread.

        False when this message id was already taken. Raises ``NotFound`` when the run is not open.
        """
        live = self._owner.live.get(run_id)
        if live is not None:
            if message_id in live.taken:
                return False
            if len(live.inbox) >= self._owner.options.inbox_limit:
                raise Overloaded(
                    f"run {id_text(run_id)} has {len(live.inbox)} unread signals, the limit.",
                    cure="Send no more until it reads them.",
                )
        body = _pack(value)
        message = Message(run_id, message_id, "signal", name, body, self._now_us(), namespace)
        if len(body) > self._owner.over_bytes:
            reference = await self._referring.keep(namespace, body)
            written = _pack(as_value(reference))
            message = msgspec.structs.replace(message, body=loaded(written, {reference.name: body}))
            await self._send(message, decision, written, run_uses(run_id, (reference,), namespace))
            return True
        await self._send(message, decision)
        return True

    async def cancel(
        self, run_id: bytes, reason: str, actor: str, decision: Decision, namespace: str = "default"
    ) -> None:
        """Ask the run to stop. Its compensations run; a second call has no further effect."""
        body = _pack({"reason": reason, "actor": actor})
        await self._send(Message(run_id, "cancel", "cancel", "cancel", body, self._now_us(), namespace), decision)

    async def pause(
        self,
        run_id: bytes,
        reason: str,
        actor: str,
        decision: Decision,
        message_id: str = "",
        namespace: str = "default",
    ) -> None:
        """Set the run aside: it begins nothing any more, and what comes for it is kept. Attempts under way go on to
        their end. A second call has no further effect; with the same ``message_id`` neither, however late it comes."""
        await self._command(run_id, "pause", reason, actor, decision, message_id, namespace)

    async def resume(
        self,
        run_id: bytes,
        reason: str,
        actor: str,
        decision: Decision,
        message_id: str = "",
        namespace: str = "default",
    ) -> None:
        """Let a paused run go on: what fell due or came meanwhile is seen to now. Of one that is not paused it changes
        nothing; neither does a second call with the same ``message_id``, however late it comes."""
        await self._command(run_id, "resume", reason, actor, decision, message_id, namespace)

    async def _command(
        self, run_id: bytes, kind: str, reason: str, actor: str, decision: Decision, message_id: str, namespace: str
    ) -> None:
        body = _pack({"reason": reason, "actor": actor})
        message_id = f"{kind}:{message_id or self._owner.ids.ulid()}"
        await self._send(Message(run_id, message_id, kind, kind, body, self._now_us(), namespace), decision)

    async def settle(
        self,
        run_id: bytes,
        key: str,
        verdict: str,
        value: Any,
        reason: str,
        actor: str,
        decision: Decision,
        namespace: str = "default",
    ) -> None:
        """Say what became of a call in doubt: ``done`` with ``value``, ``failed``, or ``again`` to try once more."""
        live = self._owner.live.get(run_id)
        op = live.machine.pending.get(key) if live is not None else None
        if self._owner.ownership.covers(run_id) and not (isinstance(op, Effect) and op.doubt):
            raise NotFound(
                f"run {id_text(run_id)} has no step {key!r} in doubt.", cure="See `rco run show` for its steps."
            )
        body = _pack({"verdict": verdict, "value": value, "reason": reason, "actor": actor})
        message_id = f"settle:{self._owner.ids.ulid()}"
        await self._send(Message(run_id, message_id, "settle", key, body, self._now_us(), namespace), decision)

    async def terminate(self, row: RunRow, reason: str, decision: Decision) -> None:
        """Have the run's own node close it, without running any of its code."""
        body = _pack({"reason": reason, "actor": decision.actor})
        message = Message(row.run_id, "terminate", "terminate", "terminate", body, self._now_us(), row.namespace)
        await self._send(message, decision)

    async def tell(self, message: Message) -> None:
        """Put a message that is no decision by itself into a run's inbox; whether it is open is seen later."""
        admission = Admission(done=ignore, failed=ignore, messages=[message])
        await self._submit(shard_of(message.run_id), admission, ignore)

    async def _send(
        self, message: Message, decision: Decision, written: bytes | None = None, payloads: Iterable[PayloadUse] = ()
    ) -> None:
        """``written``: the body as it is stored, where it refers to ``payloads``."""
        stored = message if written is None else msgspec.structs.replace(message, body=written)
        admission = Admission(
            done=ignore, failed=ignore, messages=[stored], accepted=[decision], payloads=list(payloads)
        )
        admitted = await self._submit(
            shard_of(message.run_id), admission, lambda outcome: self._deliver_if(outcome, message)
        )
        if admitted.status != "accepted":
            raise NotFound(f"run {id_text(message.run_id)} is not open.", cure="See `rco run show` for how it closed.")

    def _deliver_if(self, outcome: Admitted, message: Message) -> None:
        live = self._owner.live.get(message.run_id)
        # Where an earlier message may be there that was not read yet, the inbox is read in its order (the engine sees
        # to it after the flush): while the run comes into memory, and where other nodes write too.
        if outcome.status == "accepted" and live is not None and live.read and self._alone:
            self._deliver(live, message)

    def _now_us(self) -> int:
        return self._owner.clock.now_us()


def ignore(_: Any) -> None:
    """For an admission whose outcome is seen to when it is submitted."""
