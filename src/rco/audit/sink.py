"""A sink: a bounded queue before a thread that writes records, so that nobody waits for a disk or a pipe.

Every decision that is handed to a sink is either written, dropped or still waiting, and the three add up at any time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from rco.audit.record import Chain, encode_record
from rco.model.decision import Decision
from rco.model.wire_audit import SinkView

__all__ = ["Sink", "Sinking", "Written"]

BATCH = 256
RETRY_FIRST_S = 0.05
RETRY_CAP_S = 2.0


class Written(Protocol):
    """Where lines go: a file, a pipe. Called by the sink's thread alone."""

    def write(self, data: bytes, /) -> int:
        """Write a beginning of ``data``; returns how many bytes. Raises ``OSError``."""
        ...

    def sync(self) -> None:
        """What was written stays. Raises ``OSError``."""
        ...

    def reopen(self) -> None:
        """Go on in what is there now under the same name. Raises ``OSError``; then the old one stays."""
        ...

    def close(self) -> None: ...


class Sinking(Protocol):
    """What a trail knows of a sink."""

    name: str

    def emit(self, decision: Decision) -> None: ...

    def seen(self) -> SinkView: ...

    def reopen(self) -> None: ...

    def stop(self, grace_s: float) -> None: ...


class Sink:
    """Chains and writes decisions in a thread of its own.

    ``emit`` never waits for the writing. Where writing fails it is tried again, for as long as the sink lives: what
    came meanwhile waits, and over ``limit`` the oldest goes. ``told_written`` and ``told_dropped`` are called with
    numbers, the first by the sink's thread and the second by whoever calls ``emit`` or ``stop``; ``trouble`` is called
    by the thread, once for each time that writing begins to fail.
    """

    def __init__(
        self,
        name: str,
        out: Written,
        chain: Chain,
        *,
        limit: int,
        told_written: Callable[[int], None] = lambda _: None,
        told_dropped: Callable[[int], None] = lambda _: None,
        trouble: Callable[[OSError], None] = lambda _: None,
    ) -> None:
        self.name = name
        self._out, self._chain, self._limit = out, chain, limit
        self._told_written, self._told_dropped, self._trouble = told_written, told_dropped, trouble
        self._queue: deque[Decision] = deque()
        self._gap = 0
        """Dropped since the last batch was taken: they stood before what waits now."""
        self._held = 0
        """Taken and not yet written."""
        self.written = self.dropped = 0
        self._lock = threading.Condition()
        self._ending = self._reopening = self._given_up = False
        self._give_up = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"rco-audit-{name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Handed over and neither written nor dropped yet."""
        return len(self._queue) + self._held

    def seen(self) -> SinkView:
        """How it fares. The numbers add up to what was handed over."""
        with self._lock:
            return SinkView(
                sink=self.name,
                written=self.written,
                dropped=self.dropped,
                waiting=self.waiting,
                n=self._chain.n,
                head=self._chain.head.hex(),
            )

    def emit(self, decision: Decision) -> None:
        """Hand a decision over. Never raises; after ``stop`` it is dropped."""
        with self._lock:
            if self._ending:
                lost = 1
            else:
                lost = int(len(self._queue) >= self._limit)
                if lost:
                    self._queue.popleft()
                    self._gap += 1
                self._queue.append(decision)
                self._lock.notify()
            self.dropped += lost
        if lost:
            self._told_dropped(1)

    def reopen(self) -> None:
        """Go on in a new file under the same name, before the next record."""
        with self._lock:
            self._reopening = True
            self._lock.notify()

    def stop(self, grace_s: float) -> None:
        """Write what waits, for ``grace_s`` at most; the rest is dropped and counted. Blocking; may be called twice."""
        with self._lock:
            self._ending = True
            self._lock.notify()
        self._thread.join(grace_s)
        self._give_up.set()
        self._thread.join(1.0)
        with self._lock:
            # A write that hangs may still come back: what it was given is given up all the same.
            lost, self._given_up = self.waiting, True
            self._queue.clear()
            self._held = 0
            self.dropped += lost
        if lost:
            self._told_dropped(lost)

    # -- the thread's side -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._give_up.is_set():
                with self._lock:
                    while not (self._queue or self._ending or self._reopening):
                        self._lock.wait()
                    reopening, self._reopening = self._reopening, False
                    batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                    gap, self._gap = self._gap, 0
                    self._held = len(batch)
                if reopening:
                    self._again(self._out.reopen)
                if batch:
                    self._put(batch, gap)
                elif self._ending:
                    break
        finally:
            self._out.close()

    def _put(self, batch: list[Decision], gap: int) -> None:
        done = 0
        for decision in batch:
            if not self._line(encode_record(self._chain.add(decision, gap))):
                break
            done, gap = done + 1, 0
        self._again(self._synced)
        with self._lock:
            if self._given_up:
                return
            self._held -= done
            self.written += done
        self._told_written(done)

    def _line(self, line: bytes) -> bool:
        """Whether all of it was written."""
        while line:
            wrote = self._again(partial(self._out.write, line))
            if wrote is None:
                return False
            line = line[wrote:]
        return True

    def _synced(self) -> int:
        self._out.sync()
        return 0

    def _again(self, action: Callable[[], int | None]) -> int | None:
        """Do it until it succeeds; ``None`` when the sink is given up before."""
        delay_s, told = RETRY_FIRST_S, False
        while not self._give_up.is_set():
            try:
                return action() or 0
            except OSError as error:
                if not told:
                    told = True
                    self._trouble(error)
                self._give_up.wait(delay_s)
                delay_s = min(delay_s * 2, RETRY_CAP_S)
        return None
