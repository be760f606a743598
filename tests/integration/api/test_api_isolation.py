"""A principal of one namespace sees and touches nothing of another: asked of every route that the description lists.

A route that is added is asked too. Its path is filled in from what there is in the other namespace, its body from
``BODIES``; where that is not enough the test fails and says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rco.engine.ask import StartAsk
from rco.kit.ids import Ids, id_text
from rco.model.principal import Principal, Role
from rco.operations.access import token_digest
from rco.operations.version_run import MOVE, MoveSpec
from rco.server.api.app import document

MARK = "xyzzy"
"""Stands in everything of the namespace that is not to be seen."""
ROUTES = [
    (method.upper(), path, operation)
    for path, item in json.loads(document())["paths"].items()
    if path.startswith("/v1/") and path != "/v1/openapi.json"
    for method, operation in item.items()
]
SCHEDULE = {"workflow": "greet", "cron": ["0 3 * * *"]}
BODIES: dict[str, Any] = {
    "startRun": {"workflow": "greet", "input": 1, "key": f"key {MARK}"},
    "signalRun": {"name": "answer", "value": 1},
    "settleRun": {"key": "say", "verdict": "done", "reason": "r"},
    "cancelRun": {},
    "terminateRun": {},
    "moveRuns": {"from": "v1", "to": "v2"},
    "forkRun": {},
    "resetRun": {},
    "pauseRun": {},
    "resumeRun": {},
    "previewBulk": {"state": "waiting"},
    "startBulk": {"action": "cancel", "where": {"state": "waiting"}},
    "createSchedule": {"name": "theirs", "spec": SCHEDULE},
    "replaceSchedule": SCHEDULE,
    "previewSchedule": SCHEDULE,
    "backfillSchedule": {"after": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
    "pauseSchedule": {},
    "closeTarget": {"reason": "r"},
    "openTarget": {},
    "pauseQueue": {},
    "resumeQueue": {},
    "resumeSchedule": {},
    "triggerSchedule": {},
    "mintCapability": {"scopes": ["run:start:greet"]},
    "checkCapability": {"token": "x"},
    "revokeCapabilities": {"kind": "epoch", "name": "default", "reason": "r"},
    "createEndpoint": {"url": "https://example.com/", "types": ["order.*"]},
    "changeEndpoint": {"note": "mine"},
    "rotateEndpoint": {},
    "testEndpoint": {},
    "replayDelivery": {"delivery": "01980000-0000-7000-8000-000000000000"},
    "previewReplay": {},
    "replayDeliveries": {},
    "dismissDeadLetter": {"reason": "r"},
    "createNamespace": {"name": "mine"},
    "createNamespaceKey": {"namespace": "default", "reason": "r"},
    "rotateNamespaceKey": {"namespace": "default", "reason": "r"},
    "eraseNamespaceKeys": {"namespace": "default", "reason": "r"},
    "setNamespace": {"quotas": {"open_runs": 0}, "state": "closed"},
    "createPrincipal": {"id": "spy", "role": "viewer", "namespaces": ["default"]},
}
"""Each aims at what is of the other namespace where it can."""
SHARED = {"showQueue", "showTarget"}
"""Of what all namespaces share, each sees its own part."""
NOT_ENFORCED = {
    *("mintCapability", "checkCapability", "listKeys"),
}
"""Refused with 400 here, where capabilities are not enforced."""


async def poll(question: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(400):
        page = await question()
        if page.items:
            return page
        await asyncio.sleep(0.05)
    raise AssertionError("nothing came")


async def things(served) -> dict[str, str]:
    """Something of each kind in the default namespace, by the name of the path parameter that it is found by."""
    admin = served.admin
    run = await admin.start("ask", f"input {MARK}", key=f"key {MARK}")
    await admin.start("sell", f"ev-{MARK}")
    events = await poll(lambda: admin.events(type="order.created"))
    letters = await poll(admin.letters)
    created = {"name": f"s-{MARK}", "spec": SCHEDULE}
    assert (await served.call("POST", "/v1/schedules", json=created))[0] == 201
    hook = {"url": "https://example.com/", "types": [MARK], "note": MARK}
    status, _, body = await served.call("POST", "/v1/endpoints", json=hook)
    assert status == 201, body
    endpoint = json.loads(body)["endpoint"]["id"]
    bulk = {"action": "cancel", "where": {"state": "failed", "text": MARK}, "reason": MARK}
    status, _, body = await served.call("POST", "/v1/bulk", json=bulk)
    assert status == 201, body
    bulk_id = json.loads(body)["id"]
    await admin.wait(bulk_id, timeout_s=20)
    spec = MoveSpec(namespace="default", start=MARK, to="v2", before=b"\xff" * 16)
    ask = StartAsk(workflow=MOVE, input=msgspec.to_builtins(spec, builtin_types=(bytes,)), actor="principal:admin")
    move_id = id_text((await served.service._desk.engine.start_run(ask)).run_id)
    await admin.wait(move_id, timeout_s=20)
    return {
        "run_id": run.id,
        "move_id": move_id,
        "event_id": events.items[0].id,
        "letter_id": letters.items[0].id,
        "bulk_id": bulk_id,
        "name": f"s-{MARK}",
        "principal_id": "operator",
        "namespace": "default",
        "endpoint": endpoint,
    }


async def seen(served) -> list[Any]:
    """Everything of the default namespace that could be changed."""
    answers = []
    for path in (
        "runs",
        "schedules",
        "events",
        "dead-letters",
        "dead-letters?replayed=true",
        "principals",
        "endpoints",
        "namespaces/default",
    ):
        status, _, body = await served.call("GET", f"/v1/{path}")
        assert status == 200, body
        answers.append(json.loads(body))
    answers.append(json.loads((await served.call("GET", "/v1/info"))[2])["draining"])
    return answers


async def test_no_route_shows_or_touches_what_is_of_another_namespace(served) -> None:
    theirs = await things(served)
    stranger = Principal(principal_id="stranger", name="stranger", role=Role.ADMIN, namespace="acme")
    token = Ids().token(32)
    await served.service._desk.reader.add_principal(stranger, token_digest(token))
    assert (await served.call("POST", "/v1/namespaces", json={"name": "acme"}))[0] == 201
    before = await seen(served)
    for method, path, operation in ROUTES:
        name = operation["operationId"]
        filled = path
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                assert parameter["name"] in theirs, f"say in things() what {{{parameter['name']}}} of {path} may be"
                shared = {"queues": "slow", "targets": "pay"}.get(path.split("/")[2])
                known = shared or theirs[parameter["name"]]
                filled = filled.replace(f"{{{parameter['name']}}}", known)
        given = {}
        if "requestBody" in operation:
            assert name in BODIES, f"say in BODIES what {name} is asked with"
            given = {"json": BODIES[name]}
        if method == "GET" and filled != path:
            # What is asked for is there: it is the namespace that makes the difference.
            status, _, body = await served.call(method, filled, params={"timeout": "0"} if name == "waitRun" else {})
            assert status == 200, (name, body)
        status, _, body = await served.call(method, filled, token=token, **given)
        where = f"{name}: {status} {body[:200]!r}"
        if name in NOT_ENFORCED:
            assert status == 400, where
            continue
        assert status in (200, 201, 202, 204, 403, 404), where
        if filled != path and name not in SHARED:
            assert status in (403, 404), where
        if status < 300:
            told = body.decode()
            assert MARK not in told.replace(f"key {MARK}", ""), where
            assert not any(theirs[one] in told for one in ("run_id", "letter_id", "bulk_id", "move_id")), where
        # Not by naming the namespace either, which is refused before anything is asked.
        status, _, _ = await served.call(method, filled, token=token, headers={"X-Rco-Namespace": "default"}, **given)
        assert status == 403, name
    assert await seen(served) == before
