"""Who asks too much, and what takes too long: an answer with its reason, and everybody else goes on."""

from __future__ import annotations

import asyncio

from rco.model.delivery import Receipt


async def test_a_caller_that_asks_too_much(run_edge) -> None:
    edge = await run_edge(limits={"caller_rate_per_s": 0.01, "caller_burst": 3})
    answers = [await edge.ask(edge.request()) for _ in range(4)]
    assert [answer.status for answer in answers] == [202, 202, 202, 429]
    assert answers[3].reason == "RATE_LIMIT"
    assert int(answers[3].header("retry-after")) >= 90
    assert edge.decisions[0].reason == "rate_caller"
    assert edge.metric('svc_interop_quota_exhaustions_total{scope="rate_caller"}') == 1


async def test_guesses_at_routes_count_too(run_edge) -> None:
    edge = await run_edge(limits={"caller_rate_per_s": 0.01, "caller_burst": 2})
    answers = [await edge.ask(edge.request(path=f"/webhooks/guess{n}")) for n in range(4)]
    assert [answer.status for answer in answers] == [404, 404, 429, 429]


async def test_callers_are_told_apart_behind_our_own_proxy_and_only_there(run_edge) -> None:
    limits = {"caller_rate_per_s": 0.01, "caller_burst": 1}
    behind = await run_edge(limits=limits, proxies=("127.0.0.0/8",))
    for caller, status in (("198.51.100.1", 202), ("198.51.100.2", 202), ("198.51.100.1", 429)):
        headers = behind.signed(b'{"type":"a"}', ("X-Forwarded-For", caller))
        assert (await behind.ask(behind.request(headers, b'{"type":"a"}'))).status == status
    alone = await run_edge(limits=limits)
    for caller, status in (("198.51.100.1", 202), ("198.51.100.2", 429)):
        headers = alone.signed(b'{"type":"a"}', ("X-Forwarded-For", caller))
        assert (await alone.ask(alone.request(headers, b'{"type":"a"}'))).status == status


async def test_a_handler_that_takes_too_long(run_edge) -> None:
    edge = await run_edge(handler_timeout_s=0.05)
    done: list[str] = []

    async def stuck(delivery) -> Receipt:
        await asyncio.get_running_loop().create_future()
        done.append(delivery.event.id)
        return Receipt(False, delivery.event.corr_id)

    edge.answer_with = stuck
    answer = await edge.ask(edge.request())
    assert (answer.status, answer.reason, answer.header("retry-after")) == (503, "DOWNSTREAM_UNAVAILABLE", "1")
    assert (edge.decisions[0].reason, done) == ("handler_slow", [])
    assert (edge.turnstile.inflight, edge.turnstile.held_bytes) == (0, 0)
    edge.answer_with = None
    assert (await edge.ask(edge.request())).status == 202
