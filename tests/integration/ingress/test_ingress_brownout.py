"""While the bridge is unwell: what is refused, what goes in, and what does not count."""

from __future__ import annotations

import hmac

from rco.bridge.brownout import BrownoutSettings
from rco.bridge.contract import ProviderSettings, SecretRef
from rco.errors import Overloaded, StoreError

FORGE_KEY = b"0123456789abcdef0123456789abcdef"
FORGE = ProviderSettings(name="forge", kind="github", secrets=[SecretRef(secret_id="main", ref="env:PLAIN")])


def brown_out(edge) -> None:
    now_s = edge.clock.monotonic()
    edge.sentinel.lets_through(now_s + 1.0)  # the next probe is five seconds away
    for _ in range(50):
        edge.sentinel.answered(now_s, True)
    assert edge.sentinel.look(now_s).active


def pushed(edge, number: int = 1) -> bytes:
    body = b'{"number":%d}' % number
    signature = "sha256=" + hmac.new(FORGE_KEY, body, "sha256").hexdigest()
    headers = [
        ("Host", "rco.example"),
        ("Content-Type", "application/json"),
        ("X-GitHub-Event", "push"),
        ("X-Hub-Signature-256", signature),
    ]
    return edge.request(headers, body, path="/webhooks/forge")


async def test_row_32_writes_are_refused_reads_go_on(edge) -> None:
    edge.sentinel.lets_through(edge.clock.monotonic() + 10)
    brown_out(edge)
    edge.sentinel._probe_s = edge.clock.monotonic() + 1000
    answer = await edge.ask(edge.request())
    assert (answer.status, answer.reason, answer.header("retry-after")) == (503, "BACKPRESSURE", "15")
    assert edge.decisions[-1].reason == "brownout"
    assert edge.metric("svc_interop_busy_rejections_total") == 1
    assert edge.deliveries == []
    for path in ("/healthz", "/readyz", "/version"):
        assert (await edge.ask(edge.request([("Host", "a")], b"", path=path, method="GET", length=False))).status == 200


async def test_row_32_who_would_not_send_again_goes_in(run_edge) -> None:
    edge = await run_edge(more=[FORGE])
    brown_out(edge)
    edge.sentinel._probe_s = edge.clock.monotonic() + 1000
    assert [(await edge.ask(pushed(edge, n))).status for n in range(3)] == [202, 202, 202]
    assert (await edge.ask(edge.request())).status == 503


async def test_each_provider_may_be_told_otherwise(run_edge) -> None:
    other = ProviderSettings(
        name="forge", kind="github", secrets=[SecretRef(secret_id="main", ref="env:PLAIN")], in_brownout="refuse"
    )
    edge = await run_edge(more=[other], provider={"in_brownout": "accept"})
    brown_out(edge)
    edge.sentinel._probe_s = edge.clock.monotonic() + 1000
    assert (await edge.ask(pushed(edge))).status == 503
    assert (await edge.ask(edge.request())).status == 202


async def test_one_in_five_seconds_shows_how_it_is(edge) -> None:
    brown_out(edge)
    edge.sentinel._probe_s = edge.clock.monotonic() - 5.0
    assert [(await edge.ask(edge.request())).status for _ in range(3)] == [202, 503, 503]


async def test_told_to_watch_only_it_refuses_nothing(run_edge) -> None:
    edge = await run_edge(brownout=BrownoutSettings(enabled=False))
    for _ in range(50):
        edge.sentinel.answered(edge.clock.monotonic(), True)
    assert edge.sentinel.look(edge.clock.monotonic()).active
    assert (await edge.ask(edge.request())).status == 202


async def test_errors_of_ours_begin_it_refusals_of_senders_do_not(edge) -> None:
    for _ in range(60):
        assert (await edge.ask(edge.request([("Host", "a"), ("Content-Type", "application/json")]))).status == 401
    assert not edge.sentinel.look(edge.clock.monotonic()).active

    async def full(_) -> None:
        raise Overloaded("full")

    edge.answer_with = full
    for _ in range(60):
        assert (await edge.ask(edge.request())).status == 429
    assert not edge.sentinel.look(edge.clock.monotonic()).active

    async def away(_) -> None:
        raise StoreError("away")

    edge.answer_with = away
    for _ in range(20):
        assert (await edge.ask(edge.request())).status == 503
    assert edge.sentinel.look(edge.clock.monotonic()).causes == ("error_rate",)
    # Its own refusals do not keep it alive.
    edge.sentinel._probe_s = edge.clock.monotonic() + 1000
    before = edge.sentinel._cell.errors
    assert (await edge.ask(edge.request())).status == 503
    assert edge.decisions[-1].reason == "brownout"
    assert edge.sentinel._cell.errors <= before
