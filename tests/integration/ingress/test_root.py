"""Health, mounted applications, and the correlation id on everything."""

from __future__ import annotations

from typing import Any

import pytest


async def get(edge: Any, path: str, method: str = "GET", *more: tuple[str, str]) -> Any:
    return await edge.ask(edge.request([("Host", "a"), *more], b"", path=path, method=method, length=False))


async def test_alive_whatever_else(edge) -> None:
    edge.ready["store_writable"] = False
    answer = await get(edge, "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "alive"})
    assert len(answer.header("x-corr-id")) == 26


async def test_ready_tells_what_is_missing(edge) -> None:
    answer = await get(edge, "/readyz")
    assert (answer.status, answer.json) == (200, {"degraded": False, "missing": [], "retry_after": 0})
    edge.ready["store_writable"] = False
    answer = await get(edge, "/readyz")
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    assert answer.json == {"degraded": True, "missing": ["store_writable"], "retry_after": 5}
    del edge.ready["store_writable"]
    assert (await get(edge, "/readyz")).status == 503


async def test_started_stays_started(edge) -> None:
    edge.ready["store_writable"] = False
    assert (await get(edge, "/startupz")).status == 503
    edge.ready["store_writable"] = True
    assert (await get(edge, "/startupz")).status == 200
    edge.ready["store_writable"] = False
    assert (await get(edge, "/startupz")).status == 200


async def test_version(edge) -> None:
    assert (await get(edge, "/version")).json == {"version": "1.2.3"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/startupz", "/version"])
async def test_health_is_only_read(edge, path) -> None:
    answer = await get(edge, path, "POST")
    assert (answer.status, answer.reason, answer.header("allow")) == (405, "METHOD", "GET, HEAD")
    assert (await get(edge, path + "/")).status == 404


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"x-corr-id", b"from-the-app")] if scope["path"] == "/v1/own" else []
    await send({"type": "http.response.start", "status": 418, "headers": headers})
    await send({"type": "http.response.body", "body": scope["corr_id"].encode()})


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/runs", "/v1/runs/a%2Fb"])
async def test_a_mounted_application_gets_its_paths(run_edge, path) -> None:
    edge = await run_edge(mounts={"/v1": mounted})
    answer = await get(edge, path, "GET", ("X-Corr-ID", "given-by-caller"))
    assert (answer.status, answer.header("x-corr-id"), answer.body) == (418, "given-by-caller", b"given-by-caller")
    assert edge.metric('rco_requests_total{code="418"}') == 1


async def test_its_own_correlation_id_is_not_doubled(run_edge) -> None:
    edge = await run_edge(mounts={"/v1": mounted})
    assert (await get(edge, "/v1/own")).header("x-corr-id") == "from-the-app"


@pytest.mark.parametrize("path", ["/v2", "/v10", "/v1x/runs", "/webhooks"])
async def test_and_no_others(run_edge, path) -> None:
    edge = await run_edge(mounts={"/v1": mounted})
    answer = await get(edge, path)
    assert (answer.status, answer.reason) == (404, "NOT_FOUND")


async def test_a_broken_head_reaches_nothing(run_edge) -> None:
    edge = await run_edge(mounts={"/v1": mounted})
    for path in ("/v1/runs", "/healthz", "/nothing"):
        answer = await get(edge, path, "GET", ("Host", "b"))
        assert (answer.status, answer.reason) == (400, "MALFORMED")
