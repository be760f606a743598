"""Spans are sent, dropped or waiting, and the three add up; nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rco.telemetry.span import Span
from rco.telemetry.span_queue import BATCH, SpanQueue


def span(number: int) -> Span:
    return Span(trace_id="a" * 32, span_id=f"{number:016x}", name="x", began_us=number, ended_us=number)


class Collector:
    """What a sender reaches: it takes, refuses, breaks, or is held."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.answers: list[bool | Exception] = []
        self.sizes: list[int] = []
        self.opened = self.closed = 0
        self.held = threading.Event()
        self.held.set()
        self.asked = threading.Semaphore(0)
        self.counts = {"sent": 0, "refused": 0, "full": 0}
        self.troubles: list[BaseException] = []

    def open(self) -> Collector:
        self.opened += 1
        return self

    def send(self, spans: Sequence[Span]) -> bool:
        self.asked.release()
        self.held.wait(20)
        self.sizes.append(len(spans))
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.taken += [one.span_id for one in spans]
        return answer

    def close(self) -> None:
        self.closed += 1
        self.held.set()

    def queue(self, limit: int = 10_000, every_s: float = 0.01) -> SpanQueue:
        def count(what: str) -> Callable[[int], None]:
            def add(number: int) -> None:
                self.counts[what] += number

            return add

        return SpanQueue(
            self.open,
            limit=limit,
            every_s=every_s,
            told_sent=count("sent"),
            told_refused=count("refused"),
            told_full=count("full"),
            trouble=self.troubles.append,
        )


def test_all_that_is_put_in_is_sent_in_order_and_in_batches() -> None:
    collector = Collector()
    queue = collector.queue(every_s=60.0)
    for number in range(3 * BATCH + 7):
        queue.put(span(number))
    queue.stop(20)
    assert collector.taken == [f"{number:016x}" for number in range(3 * BATCH + 7)]
    assert max(collector.sizes) <= BATCH
    assert collector.counts == {"sent": 3 * BATCH + 7, "refused": 0, "full": 0}
    assert collector.opened == 1
    assert collector.closed >= 1


def test_a_full_batch_does_not_wait_for_its_time() -> None:
    collector = Collector()
    queue = collector.queue(every_s=3600.0)
    for number in range(BATCH):
        queue.put(span(number))
    assert collector.asked.acquire(timeout=20)
    queue.stop(20)


def test_few_spans_wait_for_others_no_longer_than_they_should() -> None:
    collector = Collector()
    queue = collector.queue(every_s=0.01)
    queue.put(span(1))
    assert collector.asked.acquire(timeout=20)
    queue.stop(20)
    assert collector.taken == [f"{1:016x}"]


def test_over_the_limit_what_comes_is_dropped_and_counted() -> None:
    collector = Collector()
    collector.held.clear()
    queue = collector.queue(limit=5)
    queue.put(span(0))
    assert collector.asked.acquire(timeout=20), "the first is under way"
    for number in range(1, 9):
        queue.put(span(number))
    assert queue.waiting == 5
    collector.held.set()
    queue.stop(20)
    assert collector.counts == {"sent": 6, "refused": 0, "full": 3}
    queue.put(span(9))
    assert collector.counts["full"] == 4, "nothing is kept that nobody would send"


def test_trouble_is_told_once_each_time_that_it_begins() -> None:
    collector = Collector()
    collector.answers = [False, OSError("away"), False, True, OSError("again")]
    queue = collector.queue()
    for number in range(6):
        queue.put(span(number))
        assert collector.asked.acquire(timeout=20)
    queue.stop(20)
    assert collector.taken == [f"{3:016x}", f"{5:016x}"]
    assert collector.counts == {"sent": 2, "refused": 4, "full": 0}
    assert [str(one) for one in collector.troubles] == ["the collector took no spans", "again"]


def test_what_cannot_be_loaded_is_tried_again_with_the_next_batch() -> None:
    collector = Collector()
    ways = [ImportError("not now"), None]

    def open_sender() -> Collector:
        problem = ways.pop(0)
        if problem is not None:
            seen.set()
            raise problem
        return collector.open()

    seen = threading.Event()
    queue = SpanQueue(open_sender, limit=10, every_s=0.01, trouble=collector.troubles.append)
    queue.put(span(1))
    assert seen.wait(20)
    queue.put(span(2))
    queue.stop(20)
    assert collector.taken == [f"{2:016x}"]
    assert len(collector.troubles) == 1


def test_a_stop_gives_up_what_hangs_and_counts_the_rest() -> None:
    collector = Collector()
    collector.held.clear()
    queue = collector.queue()
    queue.put(span(0))
    assert collector.asked.acquire(timeout=20)
    for number in range(1, 4):
        queue.put(span(number))
    queue.stop(0.05)
    assert collector.counts["full"] == 3
    assert collector.closed >= 1
    queue.stop(0.05)
    assert collector.counts["full"] == 3
