"""The metrics address: numbers and health, nothing else."""

from __future__ import annotations

import aiohttp
import pytest
from tests.integration.api.conftest import looking


@looking
@pytest.mark.parametrize(
    ("method", "path", "status", "part"),
    [
        ("GET", "/metrics", 200, "rco_requests_total"),
        ("GET", "/healthz", 200, "alive"),
        ("GET", "/readyz", 200, '"missing":[]'),
        ("GET", "/startupz", 200, '"degraded":false'),
        ("GET", "/version", 200, '"version"'),
        ("POST", "/metrics", 405, "METHOD"),
        ("GET", "/v1/runs", 404, "NOT_FOUND"),
        ("GET", "/webhooks/x", 404, "NOT_FOUND"),
    ],
)
async def test_what_it_answers(shared, method: str, path: str, status: int, part: str) -> None:
    async with aiohttp.ClientSession() as session, session.request(method, shared.service.metrics_url + path) as answer:
        assert answer.status == status
        assert part in await answer.text()
        assert answer.headers["X-Corr-ID"]


async def test_wrong_tokens_are_counted_and_no_payload_is_in_the_numbers(served) -> None:
    await served.call("GET", "/v1/info", token="wrong")
    await served.operator.start("greet", "PRIVATE")
    async with aiohttp.ClientSession() as session, session.get(f"{served.service.metrics_url}/metrics") as answer:
        text = await answer.text()
    assert "svc_interop_auth_failures_total 1.0" in text
    assert "PRIVATE" not in text
