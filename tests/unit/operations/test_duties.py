"""The duties of a node in the background: whatever goes wrong once, they go on and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rco.errors import EvidenceBroken
from rco.model.retention import RetentionClass, RetentionOptions
from rco.objects.leftovers import Collector
from rco.operations import cut_evidence
from rco.operations.cut_evidence import LINKS, EvidenceCut, _Segment
from rco.operations.observe_versions import VersionWatch
from rco.operations.payload_gc import PayloadGc
from rco.operations.retention import Retention
from rco.payloads.options import PayloadOptions


class Work:
    """Fails once, with what nobody expected."""

    def __init__(self) -> None:
        self.failures = [KeyError("a bug")]
        self.done = asyncio.Event()
        self.told: list[str] = []

    async def __call__(self, *_: Any, **__: Any) -> int:
        if self.failures:
            raise self.failures.pop()
        self.done.set()
        return 0

    def warning(self, event: str, **_: Any) -> None:
        self.told.append(event)


def desk_of(work: Work) -> Any:
    return SimpleNamespace(engine=SimpleNamespace(owns=lambda _: True), log=work)


def retention(work: Work) -> Any:
    duty = Retention(cast("Any", None), RetentionOptions(every_s=0.0, classes={"a": RetentionClass(keep_s=1.0)}))
    duty.run = work  # type: ignore[method-assign,assignment]
    duty.begin(desk_of(work))
    return duty


def payload_gc(work: Work) -> Any:
    duty = PayloadGc(cast("Any", None), PayloadOptions(gc_every_s=1.0))
    duty.options = cast("Any", SimpleNamespace(gc_every_s=0.0))
    duty.run = work  # type: ignore[method-assign,assignment]
    duty.begin(desk_of(work))
    return duty


def versions(work: Work) -> Any:
    duty = VersionWatch()
    duty.look = work  # type: ignore[method-assign,assignment]
    duty.begin(desk_of(work))
    return duty


def collector(work: Work) -> Any:
    objects = cast("Any", SimpleNamespace(collect=work))
    duty = Collector(objects, lambda _: None, lambda _: work.told.append("told"), every_s=0.0)
    duty._task = asyncio.create_task(duty._collect_on())
    return duty


@pytest.mark.parametrize("begin", [retention, payload_gc, versions, collector])
async def test_a_duty_goes_on_after_what_nobody_expected(
    begin: Callable[[Work], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rco.operations.observe_versions.EVERY_S", 0.0)
    work = Work()
    duty = begin(work)
    try:
        async with asyncio.timeout(20):
            await work.done.wait()
    finally:
        await duty.stop()
    assert len(work.told) == 1


async def test_a_chain_that_is_broken_keeps_no_other_from_being_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    async def segment(_: Any, chain: str, at: int, __: bytes) -> _Segment:
        if chain == "a":
            raise EvidenceBroken("link 1 is missing.")
        return _Segment(chain, at + 1, at + LINKS, b"h", 1, 1)

    monkeypatch.setattr(cut_evidence, "_segment", segment)
    cut: list[str] = []

    async def answer(value: Any) -> Any:
        return value

    async def cutting(chain: str, *_: Any) -> Any:
        cut.append(chain)
        return SimpleNamespace(links=LINKS)

    reader = SimpleNamespace(
        chains=lambda: answer(["a", "b"]),
        head=lambda _: answer(SimpleNamespace(n=LINKS + 1)),
        cursor=lambda _: answer(0),
    )
    retaining = SimpleNamespace(whole_chains=(), may_cut=lambda *_: answer(True), cut=cutting)
    metrics = SimpleNamespace(counter=lambda *_, **__: SimpleNamespace(add=lambda _: None))
    desk = cast("Any", SimpleNamespace(reader=reader, metrics=metrics))
    options = RetentionOptions(evidence="e", classes={"e": RetentionClass(keep_s=1.0)}, rate_per_s=1e9)
    with pytest.raises(EvidenceBroken, match="is missing"):
        await EvidenceCut(cast("Any", retaining), list).run(desk, options, 10_000_000, "node")
    assert cut == ["b"]
