"""Steps in doubt that have a probe are settled by what it says, and by a person when it gives up."""

from __future__ import annotations

import asyncio

import pytest

from rco.engine import probing
from rco.errors import Misuse
from rco.kit.backoff import Backoff
from rco.model.decision import Decision, Verb
from rco.model.effect import Answer, EffectFailed, RetryPolicy
from rco.model.journal import Kind
from rco.model.run import Mode, Outcome
from rco.model.target import Repeat, TargetProbe
from rco.workflow import Applied, CallProbe, Context, NotApplied, Probe, attempt, workflow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "BACKOFF", Backoff(first_s=0.01, cap_s=0.01))


class Bank:
    """Takes payments and loses the first answers."""

    def __init__(self, does: bool) -> None:
        self.does, self.paid, self.tries, self.asked = does, [], 0, []

    async def pay(self) -> str:
        self.tries += 1
        if self.does or self.tries > 1:
            self.paid.append(attempt().idempotency_key)
        if self.tries == 1:
            await asyncio.sleep(3600)
        return "answered"

    async def look(self) -> Applied | NotApplied | None:
        self.asked.append(attempt().idempotency_key)
        if len(self.asked) == 1:
            raise ConnectionError("busy")
        if len(self.asked) == 2:
            return None
        return Applied("found") if self.paid else NotApplied()


def of(bank: Bank, **more):
    @workflow
    async def once(ctx: Context, given: None) -> str:
        return await ctx.step(bank.pay, name="pay", once=True, timeout_s=0.05, probe=Probe(bank.look, **more))

    return once


async def settled(node, run_id: bytes) -> list[dict]:
    return [record.body for record in await node.journal(run_id) if record.kind == Kind.SETTLED]


async def test_what_was_done_is_not_done_again(node) -> None:
    bank = Bank(does=True)
    once = of(bank)
    await node.start(once)
    run_id = await node.open(once)
    assert (await node.end(run_id)).value == "found"
    assert bank.tries == 1
    assert set(bank.asked) == set(bank.paid)
    assert await settled(node, run_id) == [
        {"verdict": "done", "reason": "it was done, says its probe", "actor": "probe"},
    ]


async def test_what_was_not_done_is_done_once_nothing_can_be_on_its_way(node) -> None:
    bank = Bank(does=False)
    once = of(bank, grace_s=0.3)
    await node.start(once)
    begun = node.clock.monotonic()
    run_id = await node.open(once)
    assert (await node.end(run_id)).value == "answered"
    assert node.clock.monotonic() - begun >= 0.3
    assert (bank.tries, len(bank.paid)) == (2, 1)
    assert [one["verdict"] for one in await settled(node, run_id)] == ["again"]


async def test_it_may_fail_instead(node) -> None:
    bank = Bank(does=False)
    once = of(bank, grace_s=0.0, absent="failed")
    await node.start(once)
    run_id = await node.open(once)
    assert (await node.end(run_id)).outcome is Outcome.FAILED
    assert bank.tries == 1


async def test_after_a_restart_it_is_asked_again(node) -> None:
    bank = Bank(does=True)
    begun = asyncio.Event()

    async def pay() -> None:
        bank.paid.append(attempt().idempotency_key)
        begun.set()
        await asyncio.sleep(3600)

    @workflow
    async def once(ctx: Context, given: None) -> str:
        return await ctx.step(pay, once=True, probe=Probe(bank.look))

    await node.start(once)
    run_id = await node.open(once)
    await begun.wait()
    await node.again()
    assert (await node.end(run_id)).value == "found"


async def test_when_it_cannot_tell_a_person_must(node) -> None:
    asked: list[int] = []

    def look() -> None:
        asked.append(1)

    async def pay() -> None:
        await asyncio.sleep(3600)

    @workflow
    async def once(ctx: Context, given: None) -> str:
        return await ctx.step(pay, once=True, timeout_s=0.01, probe=Probe(look, attempts=3))

    await node.start(once)
    run_id = await node.open(once)

    async def gave_up() -> bool:
        seals = await node.keeper.reader.seals(1, 1000)
        return any(b"asked 3 times: it cannot tell" in seal.decisions for seal in seals)

    await node.until(gave_up)
    assert (await node.keeper.reader.run(run_id)).mode is Mode.IN_DOUBT
    assert len(asked) == 3
    await node.engine.settle(run_id, "pay", "done", "by hand", "saw it", "ada", Decision(verb=Verb.SETTLE, at_us=0))
    assert (await node.end(run_id)).value == "by hand"


async def test_paused_it_is_not_settled(node) -> None:
    bank = Bank(does=True)
    asked, go = asyncio.Event(), asyncio.Event()

    async def look() -> Applied:
        asked.set()
        await go.wait()
        return Applied("late")

    @workflow
    async def once(ctx: Context, given: None) -> str:
        return await ctx.step(bank.pay, name="pay", once=True, timeout_s=0.01, probe=Probe(look))

    await node.start(once)
    run_id = await node.open(once)
    await asked.wait()
    await node.engine.pause(run_id, "", "test", Decision(verb=Verb.PAUSE, at_us=0))
    await node.until(lambda: run_id not in node.engine._owner.live)
    go.set()
    assert await settled(node, run_id) == []
    await node.engine.resume(run_id, "", "test", Decision(verb=Verb.RESUME, at_us=0))
    assert (await node.end(run_id)).value == "late"


class Shop:
    """Implements ``rco.workflow.calls.Caller``: it takes orders, loses its answers, and can be asked for them."""

    def __init__(self, takes: bool) -> None:
        self.takes, self.orders, self.calls = takes, [], []

    def repeat_class(self, request) -> Repeat:
        return Repeat.SAFE if request.method == "GET" else Repeat.NEVER

    def probe(self, request) -> TargetProbe | None:
        return None

    def retry_policy(self, request) -> RetryPolicy:
        return RetryPolicy(1)

    def fallback(self, request) -> None:
        return None

    async def attempt(self, request, attempt) -> Answer:
        self.calls.append(f"{request.method} {request.path}")
        decisions = (Decision(verb=Verb.CALL, at_us=1, subject="shop", facts={"method": request.method}),)
        if request.method == "POST":
            if self.takes or self.orders:
                self.orders.append(request.json)
            if len([call for call in self.calls if call.startswith("POST")]) == 1:
                raise EffectFailed("lost", kind="Timeout", code="call_failed", ambiguous=True, decisions=decisions)
            return Answer({"status": 201, "headers": {}, "body": {"id": 2}}, decisions)
        if not self.orders:
            data = {"status": 404}
            raise EffectFailed("no", kind="HttpStatus", code="call_failed", data=data, decisions=decisions)
        return Answer({"status": 200, "headers": {}, "body": {"items": [{"id": 1}]}}, decisions)


@workflow
async def buy(ctx: Context, order: str) -> int:
    probe = CallProbe(f"/orders/{order}", applied=".items | length > 0", value=".items[0]", grace_s=0.0)
    return (await ctx.call("shop", "POST", "/orders", json=order, probe=probe)).body["id"]


@pytest.mark.parametrize(("takes", "worth", "posts"), [(True, 1, 1), (False, 2, 2)])
async def test_a_call_is_looked_for_on_its_own_target(node, takes: bool, worth: int, posts: int) -> None:
    node.caller = shop = Shop(takes)
    await node.start(buy)
    run_id = await node.open(buy, "a1")
    assert (await node.end(run_id)).value == worth
    assert shop.calls.count("POST /orders") == posts
    assert "GET /orders/a1" in shop.calls
    seals = await node.keeper.reader.seals(1, 1000)
    assert any(b'"method":"GET"' in seal.decisions for seal in seals)


@pytest.mark.parametrize("wrong", [{"grace_s": -1}, {"absent": "ask"}, {"attempts": 0}])
async def test_a_probe_that_makes_no_sense_is_refused(wrong) -> None:
    with pytest.raises(Misuse, match="probe"):
        Probe(print, **wrong)
