"""The hot paths: each function does its work once and gives what one more of it costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook
from tests.guard.count import counting

from rco.app import Service
from rco.assembly.content import open_content
from rco.audit.chain import ChainSealer
from rco.audit.link import GENESIS
from rco.capability.keyfile import rotate
from rco.config import Settings, load
from rco.egress.client import Egress
from rco.kit.clock import SystemClock
from rco.kit.digest import content_address
from rco.kit.ids import Ids
from rco.model.effect import Answer, Attempt, RetryPolicy
from rco.model.run import SHARDS
from rco.model.target import CallRequest, Repeat, Rule, Target, TargetProbe
from rco.operations.access import Access
from rco.server.asgi import Root
from rco.store import migrate
from rco.store.collector import Batch
from rco.store.contract.changes import Changes, Draft
from rco.store.judge import Held
from rco.store.postgres.flush import Chain, prepare
from rco.store.sqlite.commit import Committer
from rco.store.sqlite.connection import open_writer
from rco.store.sqlite.options import SqliteOptions
from rco.telemetry.metrics import Metrics
from rco.testing import Environment
from rco.workflow import Context, Workflow, workflow
from rco.workflow.versions import load_versions

__all__ = ["PATHS"]

SECRET = "whsec_" + "Z3VhcmQgZ3VhcmQgZ3VhcmQgZ3VhcmQgZ3VhcmQgZ3U="
APP = """
from typing import Any
from rco.workflow import Context, workflow

@workflow(on="invoice.paid")
async def invoice(_: Context, event: dict[str, Any]) -> str:
    return str(event["data"]["id"])

WORKFLOWS = [invoice]
"""
CONFIG = """
app: {folder}/app.py
data_dir: {folder}/data
providers:
  shop:
    kind: standard-webhooks
    secrets:
      - {{secret_id: one, ref: "env:GUARD_SECRET"}}
"""
CONTENT = """
capability: {{enforce: true, keys: "file:{folder}/ring.json"}}
content: {{enabled: true}}
"""


async def work(number: int) -> dict[str, Any]:
    return {"number": number, "ok": True}


@workflow
async def steps(ctx: Context, count: int) -> int:
    for number in range(count):
        await ctx.step(work, number)
    return count


@workflow
async def calls(ctx: Context, count: int) -> int:
    for number in range(count):
        await ctx.call("desk", "POST", "/effects", json={"number": number})
    return count


class Yes:
    """Implements ``rco.workflow.calls.Caller`` with nothing behind it."""

    def repeat_class(self, _: CallRequest) -> Repeat:
        return Repeat.KEYED

    def probe(self, request: CallRequest) -> TargetProbe | None:
        return None

    def retry_policy(self, _: CallRequest) -> RetryPolicy:
        return RetryPolicy(5)

    def fallback(self, _: CallRequest) -> None:
        return None

    async def attempt(self, request: CallRequest, attempt: Attempt) -> Answer:
        return Answer({"status": 200, "headers": {}, "body": {"ok": True}})


def _difference(cost_of: Callable[[int], float], small: int, large: int) -> float:
    cost_of(small)
    return (cost_of(large) - cost_of(small)) / (large - small)


def _run(workflow: Workflow[Any, Any], count: int, **options: Any) -> float:
    """The cost of a run of ``count``; what the test kit does around it, looking at its history, is not in it."""
    with Environment(workflow, replay=False, **options) as environment, counting() as cost:
        environment.start(workflow, count)
    return cost.cost


def durable_step() -> float:
    """One more step of a run: asked for, armed, attempted, recorded, applied."""
    return _difference(lambda count: _run(steps, count), 20, 120)


def governed_call() -> float:
    """One more call of a run, as far as the engine and the authors' API carry it; then comes the wire."""
    return _difference(lambda count: _run(calls, count, calls=Yes()), 20, 120)


def call_on_the_wire() -> float:
    """One more attempt of a governed call, from the asking to its answer: rules, limits, breaker, request, answer,
    redaction, decision, metrics. What the client library and the server do is not counted."""
    return asyncio.run(_attempts(10, 50))


async def _attempts(warm: int, count: int) -> float:
    server = await asyncio.start_server(_agree, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    target = Target(
        name="desk",
        base_url=f"http://127.0.0.1:{port}",
        allow=[Rule(["POST"], "/effects")],
        allow_private=["127.0.0.0/8"],
    )
    egress = Egress(
        [target], clock=SystemClock(), ids=Ids(SystemClock()), resolve_secret=str, metrics=Metrics(process=False)
    )
    request = CallRequest(target="desk", method="POST", path="/effects", json={"number": 7})
    await egress.start()
    try:
        for number in range(warm):
            await egress.attempt(request, Attempt(bytes(16), f"call#{number}", 1, "corr-12345678"))
        with counting() as cost:
            for number in range(count):
                await egress.attempt(request, Attempt(bytes(16), f"call#{number}", 1, "corr-12345678"))
        return cost.cost / count
    finally:
        await egress.stop()
        server.close()


async def _agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"ok":true}')
    writer.close()


def journal_row() -> float:
    """One more row of a commit on SQLite, its digest in the chain included."""
    clock, ids = SystemClock(), Ids(SystemClock())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rco.db"
        migrate.up(path)
        connection = open_writer(path, SqliteOptions())
        committer = Committer(connection, sealer=ChainSealer(), clock=clock, writer="guard", epoch=0)

        def commit(rows: int) -> float:
            changes = Changes()
            for _ in range(rows):
                draft = Draft(ids.uuid7(), 0)
                draft.parts += [b"\0\0\0\x64", b"x" * 100]
                draft.records = 1
                changes.drafts.append(draft)
            with counting() as cost:
                committer.commit(Batch(changes, [], []))
            return cost.cost

        try:
            # Powers of two, so that both are one statement.
            return _difference(commit, 16, 256)
        finally:
            connection.close()


def small_flush() -> float:
    """A flush of one segment as it is laid out for PostgreSQL, its link of the chain included: what most are that one
    run alone asks for."""
    clock = SystemClock()
    changes = Changes()
    draft = Draft(Ids(clock).uuid7(), 1)
    draft.parts += [b"\0\0\0\x64", b"x" * 100]
    changes.drafts.append(draft)
    owned = dict.fromkeys(range(SHARDS), 1)
    with counting() as cost:
        prepare(
            Batch(changes, [], []),
            Held({}, {}, set()),
            chain=Chain("guard/0", 0, GENESIS),
            node="guard",
            boot_id=bytes(16),
            epoch=1,
            epochs=owned,
            since_us={},
            told=owned,
            sealer=ChainSealer(),
            clock=clock,
        )
    return cost.cost


class _Doorless(Service):
    """The service as it is wired for everybody, asked without HTTP."""

    on_closed: Callable[[], None]

    async def _start(self) -> None:
        await super()._start()
        self._desk.engine.on_closed(lambda *_: self.on_closed())

    async def _listen(self, settings: Settings, keeper: Any) -> None:
        self.url = self.metrics_url = "none"
        ground, access = self._ground, Access(keeper, self._ground.clock)
        sentinel = self._bridge.sentinel
        content = await open_content(ground, self._ingress, sentinel, access, self._at_desk, self._contents)
        mounts = {} if content is None or content.app is None else {"/put": content.app, "/o": content.app}
        self.root = Root(
            clock=ground.clock, ids=ground.ids, metrics=ground.metrics, ingress=self._ingress, mounts=mounts
        )

    def token(self) -> str:
        """A capability to put."""
        assert self._granting is not None
        authority = self._granting.authority
        return str(authority.mint(("write:put",), namespace="default", ttl_s=60.0).token)


def webhook() -> float:
    """One more accepted webhook and the run that it starts, from the parsed request to the closed run: the loop's
    part."""
    return asyncio.run(_webhooks(5, 25))


@contextlib.asynccontextmanager
async def _served(more: str = "") -> AsyncIterator[_Doorless]:
    with tempfile.TemporaryDirectory() as folder:
        app, config = Path(folder) / "app.py", Path(folder) / "rco.yaml"
        app.write_text(APP)
        config.write_text((CONFIG + more).format(folder=folder))
        environ = {"GUARD_SECRET": SECRET}
        clock = SystemClock()
        rotate(Path(folder) / "ring.json", ids=Ids(clock), now_us=clock.now_us(), lead_s=0.0, overlap_s=60.0)
        settings = load(config, environ).settings
        service = _Doorless(settings, load_versions(settings.app, "", {}), environ, migrating=True)
        await service.start()
        try:
            yield service
        finally:
            await service.stop()


async def _webhooks(warm: int, count: int) -> float:
    async with _served() as service:
        for number in range(warm):
            await _accepted(service, *_request(f"msg_warm_{number}"))
        with counting() as counted:
            for number in range(count):
                await _accepted(service, *_request(f"msg_{number}"))
        return counted.cost / count


async def _accepted(service: _Doorless, scope: dict[str, Any], body: bytes) -> None:
    """Returns when the webhook was answered 202 and the run that it started has closed."""
    closed = asyncio.Event()
    service.on_closed = closed.set
    sent: list[dict[str, Any]] = []

    async def read() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await service._ingress(scope, read, send)
    assert sent[0]["status"] == 202, sent
    await closed.wait()


def _request(message_id: str) -> tuple[dict[str, Any], bytes]:
    now = datetime.now(UTC)
    body = json.dumps({"type": "invoice.paid", "data": {"id": message_id, "note": "x" * 900}})
    headers = {
        "host": "rco.example",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(message_id, now, body),
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": "/webhooks/shop", "headers": pairs}, body.encode()


def get() -> float:
    """One more ``GET /o/{address}`` of 1 KiB, from the parsed request to the whole answer."""
    return asyncio.run(_contents(_got, 5, 25))


def put() -> float:
    """One more ``POST /put`` of 1 KiB, from the parsed request to the answer: the loop's part, what makes it durable is
    in threads."""
    return asyncio.run(_contents(lambda root, token: _put(root, token, os.urandom(1024)), 5, 25))


async def _contents(ask: Callable[[Root, str], Awaitable[object]], warm: int, count: int) -> float:
    async with _served(CONTENT) as service:
        token = service.token()
        for _ in range(warm):
            await ask(service.root, token)
        # What is read stands where content ends, and nothing moves it meanwhile.
        staging = service._contents.held.staging  # type: ignore[union-attr]
        while staging is not None and staging.waiting:
            await asyncio.sleep(0.01)
        with counting() as counted:
            for _ in range(count):
                await ask(service.root, token)
        return counted.cost / count


_KEPT = b"k" * 1024


async def _got(root: Root, token: str) -> None:
    path = "/o/" + content_address(_KEPT)
    status, body, messages = await _answer(root, "GET", path, {}, b"")
    if status == 404:
        assert (await _put(root, token, _KEPT)) == path
        return
    # Head and body in two messages, which the server sends as one.
    assert (status, body, messages) == (200, _KEPT, 2)


async def _put(root: Root, token: str, data: bytes) -> str:
    kind = "application/octet-stream"
    headers = {"authorization": f"Bearer {token}", "content-type": kind, "content-length": str(len(data))}
    status, body, _ = await _answer(root, "POST", "/put", headers, data)
    assert status == 202, body
    return "/o/" + str(json.loads(body)["address"])


async def _answer(root: Root, method: str, path: str, headers: dict[str, str], data: bytes) -> tuple[int, bytes, int]:
    sent: list[dict[str, Any]] = []

    async def read() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in {"host": "rco.example", **headers}.items()]
    await root({"type": "http", "method": method, "path": path, "headers": pairs}, read, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent), len(sent)


PATHS: dict[str, Callable[[], float]] = {
    "durable step": durable_step,
    "governed call": governed_call,
    "call on the wire": call_on_the_wire,
    "journal row": journal_row,
    "small flush": small_flush,
    "webhook": webhook,
    "get": get,
    "put": put,
}
