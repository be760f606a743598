"""Spans on their way out: a bounded queue before a thread that sends them in batches, so that nobody waits for it.

Every span that is put in is sent, dropped or still waiting. Spans are no evidence: what cannot be sent is dropped and
counted, and nothing else is held up by it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from rco.telemetry.span import Span

__all__ = ["BATCH", "Sender", "SpanQueue"]

BATCH = 512
"""The most spans in one request."""


class Sender(Protocol):
    """Sends batches. Called by the queue's thread alone, but for ``close``."""

    def send(self, spans: Sequence[Span]) -> bool:
        """Whether the collector took them; blocking. Raises nothing that passes."""
        ...

    def close(self) -> None:
        """Give up what is under way; from any thread."""
        ...


class SpanQueue:
    """A span waits ``every_s`` for others at the most. ``open_sender`` is called by the thread, before its first batch:
    loading what sends takes its time.

    ``told_sent`` and ``told_refused`` are called with numbers by the thread, ``told_full`` by whoever puts and stops.
    ``trouble`` is called by the thread once for each time that sending begins to fail.
    """

    def __init__(
        self,
        open_sender: Callable[[], Sender],
        *,
        limit: int,
        every_s: float,
        told_sent: Callable[[int], None] = lambda _: None,
        told_refused: Callable[[int], None] = lambda _: None,
        told_full: Callable[[int], None] = lambda _: None,
        trouble: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._open, self._limit, self._every_s = open_sender, limit, every_s
        self._told_sent, self._told_refused, self._told_full = told_sent, told_refused, told_full
        self._trouble = trouble
        self._waiting: deque[Span] = deque()
        self._due = threading.Event()
        self._ending = threading.Event()
        self._sender: Sender | None = None
        self._failing = False
        self._thread = threading.Thread(target=self._work, name="rco-spans", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Spans that no request was made for yet."""
        return len(self._waiting)

    def put(self, span: Span) -> None:
        """Hand a span over. Never waits, never raises; over the limit, and after ``stop``, it is dropped."""
        waiting = self._waiting
        if len(waiting) >= self._limit or self._ending.is_set():
            self._told_full(1)
            return
        waiting.append(span)
        if len(waiting) >= BATCH:
            self._due.set()

    def stop(self, grace_s: float) -> None:
        """Send what waits, for ``grace_s`` at most; the rest is dropped and counted. Blocking; may be called twice."""
        self._ending.set()
        self._due.set()
        self._thread.join(grace_s)
        if self._thread.is_alive():
            lost = len(self._waiting)
            self._waiting.clear()
            if lost:
                self._told_full(lost)
            if self._sender is not None:
                self._sender.close()
            self._thread.join(1.0)

    def _work(self) -> None:
        try:
            while True:
                self._due.wait(self._every_s)
                ending = self._ending.is_set()
                self._due.clear()
                while self._waiting:
                    self._send([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
                if ending:
                    break
        finally:
            if self._sender is not None:
                self._sender.close()

    def _send(self, batch: list[Span]) -> None:
        problem: BaseException | None = None
        try:
            if self._sender is None:
                self._sender = self._open()
            taken = self._sender.send(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next batch is tried again
            taken, problem = False, error
        (self._told_sent if taken else self._told_refused)(len(batch))
        if not taken and not self._failing:
            self._trouble(problem or ConnectionError("the collector took no spans"))
        self._failing = not taken
