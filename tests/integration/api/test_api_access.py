"""Nobody gets in without a token, and nobody beyond their role; everything else is one envelope."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from multidict import CIMultiDict
from tests.integration.api.conftest import looking

from rco.client import Client
from rco.errors import Forbidden, Refused
from rco.operations.access import Access
from rco.server.api.app import control_api, document

NOBODY = "01980000-0000-7000-8000-000000000000"
ROUTES = [
    (
        method.upper(),
        path.replace("{run_id}", NOBODY)
        .replace("{letter_id}", NOBODY)
        .replace("{bulk_id}", NOBODY)
        .replace("{event_id}", "e"),
    )
    for path, item in json.loads(document())["paths"].items()
    if path.startswith("/v1")
    for method in item
]
# A preview is asked with a body and writes nothing.
WRITES = [route for route in ROUTES if route[0] != "GET" and not route[1].endswith("/preview")]
BODIES = {
    "namespaces": {"name": "mine"},
    "namespace-keys": {"namespace": "default", "reason": "r"},
    "rotations": {"namespace": "default", "reason": "r"},
    "erasures": {"namespace": "default", "reason": "r"},
    "principals": {"id": "p", "role": "viewer"},
    "endpoints": {"url": "https://example.com/hook", "types": ["order.*"]},
    "replay": {"delivery": NOBODY},
    "dismiss": {"reason": "r"},
    "runs": {"workflow": "greet"},
    "signal": {"name": "x"},
    "capabilities": {"scopes": ["write:put"]},
    "close": {"reason": "r"},
    "check": {"token": "rcap1_"},
    "revocations": {"kind": "id", "name": "cap_1", "reason": "r"},
    "schedules": {"name": "s", "spec": {"workflow": "greet", "every_s": 60}},
    "{name}": {"workflow": "greet", "every_s": 60},
    "backfill": {"after": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
    "settle": {"key": "k", "verdict": "failed", "reason": "r"},
    "bulk": {"action": "retry", "where": {"state": "failed"}},
    "preview": {"state": "failed"},
    "moves": {"from": "v1", "to": "v2"},
}


def body_of(path: str) -> dict[str, object]:
    return BODIES.get(path.rpartition("/")[2], {})


def envelope(body: bytes) -> dict[str, str]:
    told = json.loads(body)
    assert sorted(told) == ["corr_id", "error", "reason"]
    return dict(told)


@looking
@pytest.mark.parametrize("token", [None, "wrong", "0" * 64, "x" * 600, "a b"])
async def test_no_route_answers_without_a_known_token(shared, token: str | None) -> None:
    for method, path in [*ROUTES, ("GET", "/v1/nothing"), ("DELETE", "/v1/runs")]:
        headers = {"Content-Type": "application/json"}
        status, headers, body = await shared.call(method, path, token=token, data=b"{}", headers=headers)
        assert (status, envelope(body)["reason"]) == (401, "UNAUTH"), (method, path)
        assert headers["WWW-Authenticate"].startswith("Bearer")
        assert headers["X-Corr-ID"] == envelope(body)["corr_id"]


@looking
async def test_other_schemes_and_two_headers_are_no_token(shared) -> None:
    token = shared.admin._token
    status, _, _ = await shared.call("GET", "/v1/info", token=None, headers={"Authorization": f"Basic {token}"})
    assert status == 401
    both = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer other")]
    for headers in (CIMultiDict(both), CIMultiDict(reversed(both))):
        async with aiohttp.ClientSession() as session, session.get(f"{shared.url}/v1/info", headers=headers) as answer:
            assert answer.status == 401


@looking
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_viewer_changes_nothing(shared, method: str, path: str) -> None:
    status, _, body = await shared.call(method, path, token="viewer", json=body_of(path))
    assert (status, envelope(body)["reason"]) == (403, "SCOPE_MISMATCH")


async def test_roles_reach_as_far_as_they_say(served) -> None:
    assert (await served.viewer.runs()).items == []
    assert (await served.operator.start("greet", "x")).created
    with pytest.raises(Forbidden):
        await served.viewer.event("e")
    for client in (served.viewer, served.operator):
        with pytest.raises(Forbidden):
            async for _ in client.export_audit():
                pass


@looking
async def test_a_caller_keeps_a_well_formed_correlation_id_only(shared) -> None:
    _, headers, _ = await shared.call("GET", "/v1/info", headers={"X-Corr-ID": "my-own-id-1"})
    assert headers.getall("X-Corr-ID") == ["my-own-id-1"]
    _, headers, _ = await shared.call("GET", "/v1/info", headers={"X-Corr-ID": "no good;"})
    assert headers["X-Corr-ID"] != "no good;"


@looking
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body: is missing"),
        (b"{", "not JSON"),
        (b"[]", "Expected `object`"),
        (b'{"workflow": 5}', "workflow"),
        (b'{"workflow": ""}', "workflow"),
        (b'{"input": 1}', "workflow"),
        (b'{"workflow": "greet", "inptu": 1}', "inptu"),
        (b'{"workflow": "greet", "input": ' + b"[" * 5000 + b"]" * 5000 + b"}", ""),
        (b'{"workflow": "\xff"}', "UTF-8"),
    ],
)
async def test_a_malformed_body_names_what_is_wrong(shared, body: bytes, said: str) -> None:
    headers = {"Content-Type": "application/json"}
    status, _, answer = await shared.call("POST", "/v1/runs", data=body, headers=headers)
    told = envelope(answer)
    assert (status, told["reason"]) == (400, "MALFORMED"), told
    assert said in told["error"]
    assert (await shared.admin.runs()).items == []


@looking
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/runs?limit=0", "limit"),
        ("/v1/runs?limit=501", "limit"),
        ("/v1/runs?limit=x", "limit"),
        ("/v1/runs?state=lost", "state"),
        ("/v1/runs?after=x", "after"),
        ("/v1/runs/x", "run_id"),
        (f"/v1/runs/{NOBODY}/wait?timeout=61", "timeout"),
        ("/v1/events?after=-1", "after"),
        ("/v1/audit/export?first=0", "first"),
        ("/v1/audit/export?first=3&last=2", "last"),
        ("/v1/runs?stat=parked", "stat"),
        ("/v1/dead-letters?limit=5&Replayed=true", "Replayed"),
        ("/v1/openapi.json?x", "x"),
    ],
)
async def test_a_malformed_query_names_the_field(shared, path: str, said: str) -> None:
    status, _, answer = await shared.call("GET", path)
    told = envelope(answer)
    assert (status, told["reason"]) == (400, "MALFORMED"), told
    assert told["error"].startswith(f"{said}:")


@looking
@pytest.mark.parametrize("path", [b"/v1/runs/%20\xc3\xa9", b"/v1/runs/%ff", b"/v1/events/%\xff", b"/v1/runs?%ff=%zz"])
async def test_a_path_of_any_bytes_is_refused_like_others(shared, path: bytes) -> None:
    host, port = shared.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
    finally:
        writer.close()
    status = int(answer.split(b" ", 2)[1])
    assert status == 400 or (status == 401 and b'"reason":"UNAUTH"' in answer)


@looking
async def test_limits_methods_and_media_types(shared) -> None:
    json_type = {"Content-Type": "application/json"}
    large = b'{"workflow": "greet", "input": "' + b"x" * (1 << 20) + b'"}'
    for method, path, data, headers, expected in (
        ("POST", "/v1/runs", large, json_type, (413, "BODY_LIMIT")),
        (
            "POST",
            "/v1/runs",
            b"workflow=greet",
            {"Content-Type": "application/x-www-form-urlencoded"},
            (415, "MEDIA_TYPE"),
        ),
        ("DELETE", "/v1/runs", None, {}, (405, "METHOD")),
        ("GET", "/v1/nothing", None, {}, (404, "NOT_FOUND")),
        ("GET", "/v1", None, {}, (404, "NOT_FOUND")),
    ):
        status, _, answer = await shared.call(method, path, data=data, headers=headers)
        assert (status, envelope(answer)["reason"]) == expected


async def test_what_goes_wrong_inside_stays_inside(served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("secret-inside")

    monkeypatch.setattr("rco.server.api.node.node_info", broken)
    status, _, answer = await served.call("GET", "/v1/info")
    told = envelope(answer)
    assert (status, told["reason"]) == (500, "INTERNAL")
    assert "secret-inside" not in answer.decode()


async def test_a_token_that_is_taken_away_stops_working(served) -> None:
    from rco.model.principal import Principal, Role
    from rco.operations.access import CACHE_S, Access, token_digest

    class Clock:
        at = 0.0

        def monotonic(self) -> float:
            return self.at

        def now_us(self) -> int:
            return 0

    clock = Clock()
    reader = served.service._desk.reader
    access = Access(reader, clock)
    someone = Principal(principal_id="p", name="p", role=Role.VIEWER)
    await reader.add_principal(someone, token_digest("old"))
    assert await access.principal("Bearer old") == someone
    await reader.add_principal(someone, token_digest("new"))
    clock.at = CACHE_S + 0.001
    with pytest.raises(Refused):
        await access.principal("Bearer old")
    assert await access.principal("Bearer new") == someone


async def test_the_client_says_what_it_cannot_reach() -> None:
    from rco.errors import Unreachable

    async with Client("http://127.0.0.1:1", "t") as client:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await client.info()


async def test_a_body_that_never_ends_is_given_up(served) -> None:
    desk = served.service._desk
    api = control_api(lambda: desk, Access(desk.reader, desk.clock), read_timeout_s=0.01)
    sent: list[dict] = []

    async def never():
        await asyncio.Event().wait()

    async def send(message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/runs",
        "raw_path": b"/v1/runs",
        "headers": [(b"authorization", f"Bearer {served.admin._token}".encode())],
    }
    await api(scope, never, send)
    assert sent[0]["status"] == 408
    assert envelope(sent[1]["body"])["reason"] == "TIMEOUT"
