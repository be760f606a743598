"""Three parties that write down what they saw: a service, the target that it calls, a client. One run gives records."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook

from rco.client import Client
from rco.errors import NotFound, RcoError

__all__ = ["CALLS_AT_ONCE", "Downstream", "Logged", "Service", "make_records"]

SECRET = "whsec_" + "dmVyaWZ5IHRlc3RzIHZlcmlmeSB0ZXN0cyB2ZXJpZnk="
CALLS_AT_ONCE = 3
APP = """
from rco.workflow import Context, workflow


@workflow
async def order(ctx: Context, given):
    await ctx.call("desk", "GET", "/lookups/x")
    ctx.compensate(undo, given["order"])
    await ctx.call("desk", "POST", "/effects/reserved", json=given)
    await ctx.state("stage", "reserved")
    await ctx.sleep(0.05)
    await ctx.call("desk", "POST", "/effects/shipped", json=given)
    await ctx.state("stage", "shipped")
    return await ctx.child("label", given)


async def undo(ctx: Context, order):
    await ctx.call("desk", "POST", "/effects/released", json={"order": order})


@workflow
async def label(ctx: Context, given):
    return (await ctx.call("desk", "POST", "/effects/labelled", json=given)).status


@workflow
async def declined(ctx: Context, given):
    ctx.compensate(undo, given["order"])
    await ctx.call("desk", "POST", "/effects/reserved", json=given)
    await ctx.call("desk", "POST", "/refusals/charge", json=given)


@workflow
async def fan(ctx: Context, given):
    await ctx.gather(*(ctx.call("desk", "POST", f"/effects/part{at}", json=given) for at in range(6)))


@workflow
async def gate(ctx: Context, given):
    return [await ctx.signal("go") for _ in range(2)]


@workflow
async def patient(ctx: Context, given):
    await ctx.signal("never", timeout_s=3600)


@workflow(on="order.created")
async def fulfil(ctx: Context, event):
    await ctx.call("desk", "POST", "/effects/fulfilled", json={"order": event["id"]})
"""
CONFIG = """
app: {app}
data_dir: {data}
server: {{bind_addr: "127.0.0.1:0", metrics_addr: "127.0.0.1:0", drain_timeout: 2s}}
engine: {{park_after: 150ms, timer_window: 1s}}
providers:
  shop: {{kind: standard-webhooks, secrets: [{{secret_id: s1, ref: "env:VERIFY_SECRET"}}]}}
targets:
  desk:
    base_url: http://127.0.0.1:{port}
    allow_private: [127.0.0.0/8]
    allow: [{{methods: [GET, POST], path: "/**"}}]
    timeout: 5s
    attempts: 10
    backoff: {{first: 30ms, cap: 100ms}}
    concurrency: {at_once}
    rate_per_s: 400
    burst: 40
"""


def now_us() -> int:
    return time.time_ns() // 1000


class Downstream:
    """The target. Every fourth keyed request meets a 503 with nothing done; repeats of a key get the first answer."""

    def __init__(self, ledger: Path) -> None:
        self._file = ledger.open("a")
        self._count = 0
        self._done: set[str] = set()
        self.port = 0

    def write(self, **line: Any) -> None:
        self._file.write(json.dumps({"at_us": now_us(), "target": "desk", **line}) + "\n")
        self._file.flush()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{kind}/{what}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        self._file.close()

    async def _answer(self, request: web.Request) -> web.Response:
        self._count += 1
        number, key = str(self._count), request.headers.get("Idempotency-Key", "")
        self.write(kind="seen", id=number, key=key)
        await request.read()
        await asyncio.sleep(0.004)
        status = 200
        if request.match_info["kind"] == "refusals":
            status = 409
        elif key and self._count % 4 == 0:
            status = 503
        elif key and key not in self._done:
            self._done.add(key)
            self.write(kind="effect", key=key, effect=request.match_info["what"])
            status = 201
        self.write(kind="answered", id=number)
        return web.json_response({"n": number}, status=status)


class Service:
    """``rco serve`` as a process of its own, over its lives on one folder."""

    def __init__(self, folder: Path, port: int, *, park: bool = True) -> None:
        self.folder = folder
        (folder / "app.py").write_text(APP)
        self.config = folder / "rco-config.yaml"
        text = CONFIG.format(
            app=json.dumps(str(folder / "app.py")),
            data=json.dumps(str(folder / "data")),
            port=port,
            at_once=CALLS_AT_ONCE,
        )
        self.config.write_text(text if park else text.replace("150ms", "60s"))
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("RCO_")}
        self.environ |= {"VERIFY_SECRET": SECRET, "NO_COLOR": "1", "RCO_DATA_DIR": str(folder / "data")}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Path:
        return self.folder / "data" / "rco.db"

    def rco(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rco", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def start(self) -> None:
        """Returns when it says that it serves."""
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rco", "serve", "--config", str(self.config)],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=write,
        )
        os.close(write)
        said = b""
        with os.fdopen(read, "rb") as lines:
            while b"serving http://" not in said:
                line = await asyncio.to_thread(lines.readline)
                assert line, f"the service ended: {said.decode()}"
                said += line

    @property
    def url(self) -> str:
        return str(json.loads((self.folder / "data" / "node.json").read_text())["url"])

    @property
    def token(self) -> str:
        return (self.folder / "data" / "admin.token").read_text().strip()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        await asyncio.to_thread(self.process.wait, 30)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass
class Logged:
    """A client that writes down every request before it forgets the answer."""

    client: Client
    path: Path

    def write(self, began_us: int, **line: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({**line, "began_us": began_us, "ended_us": now_us()}) + "\n")

    async def start(self, workflow: str, key: str) -> str:
        """Asks with the same key until there is an answer."""
        line = {"kind": "start", "name": key, "workflow": workflow}
        while True:
            began = now_us()
            try:
                told = await self.client.start(workflow, {"order": key}, key=key)
            except RcoError as problem:
                outcome = "unknown" if problem.code == "unreachable" else "refused"
                self.write(began, **line, outcome=outcome)
                return ""
            self.write(began, **line, outcome="acknowledged", run_id=told.id, created=told.created)
            return told.id

    async def signal(self, run_id: str, name: str, message_id: str) -> None:
        began = now_us()
        await self.client.signal(run_id, name, 1, message_id=message_id)
        self.write(began, kind="signal", name=message_id, run_id=run_id, outcome="acknowledged")

    async def read(self, run_id: str) -> str:
        began = now_us()
        try:
            state = (await self.client.run(run_id)).state
        except NotFound:
            state = "missing"
        self.write(began, kind="read", run_id=run_id, outcome="acknowledged", state=state)
        return state

    async def closed(self, run_id: str) -> None:
        while await self.read(run_id) in ("running", "waiting"):
            await self.client.wait(run_id, timeout_s=5)

    async def deliver(self, url: str, name: str) -> None:
        from datetime import UTC, datetime

        import aiohttp

        body = json.dumps({"type": "order.created", "timestamp": "2026-11-21T10:00:00Z", "data": {}})
        moment = datetime.now(UTC)
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(name, moment, body),
            "content-type": "application/json",
        }
        began = now_us()
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/webhooks/shop", data=body, headers=headers) as answer,
        ):
            outcome = "acknowledged" if answer.status == 202 else "refused"
        self.write(began, kind="deliver", name=name, outcome=outcome, workflows=["fulfil"])


async def make_records(folder: Path, store: str | None = None) -> None:
    """Two lives of a service, the first ended by SIGKILL; leaves ``export.jsonl``, ``client.jsonl``, ``ledger.jsonl``,
    ``targets.json`` in ``folder``. Two runs stay open: one parked with a signal that it has not taken."""
    async with Downstream(folder / "ledger.jsonl") as downstream:
        service = Service(folder, downstream.port)
        if store is not None:
            service.environ |= {"RCO_STORE_PATH": store, "RCO_STORE_LEASE_TTL": "2s", "RCO_STORE_HEARTBEAT": "300ms"}
            service.environ |= {"RCO_STORE_LEASE_MARGIN": "300ms"}
        try:
            assert service.rco("migrate").returncode == 0
            await service.start()
            async with Client(service.url, service.token) as client:
                logged = Logged(client, folder / "client.jsonl")
                before = await asyncio.gather(*(logged.start("order", f"before{at}") for at in range(6)))
                gate = await logged.start("gate", "gate")
                await logged.signal(gate, "go", "go:0")
                patient = await logged.start("patient", "patient")
                await logged.signal(patient, "other", "other:0")
                await logged.read(patient)
            await service.end(signal.SIGKILL)
            # On PostgreSQL the second life is another node's, which takes over: it refuses until it owns shards.
            service.environ |= {"RCO_STORE_NODE": "second"}
            await service.start()
            async with Client(service.url, service.token) as client:
                logged = Logged(client, folder / "client.jsonl")
                while not (again := await logged.start("order", "before0")):
                    await asyncio.sleep(0.1)
                assert again == before[0]
                after = await asyncio.gather(
                    *(logged.start(kind, f"{kind}{at}") for kind in ("order", "fan", "declined") for at in range(3))
                )
                await logged.signal(gate, "go", "go:1")
                await logged.deliver(service.url, "msg_1")
                await asyncio.gather(*(logged.closed(run_id) for run_id in (*before, *after, gate)))
                page = await client.runs(workflow="fulfil")
                await logged.closed(page.items[0].id)
                while await logged.read(patient) != "waiting":
                    await asyncio.sleep(0.02)
            await service.end()
        finally:
            service.kill()
        limits = {"desk": {"concurrency": CALLS_AT_ONCE, "rate_per_s": 400, "burst": 40, "timeout_s": 5}}
        (folder / "targets.json").write_text(json.dumps(limits))
        where = store or str(service.database)
        done = service.rco("export", "--payloads", "--store", where, "export.jsonl")
        assert done.returncode == 0, done.stderr
        done = service.rco("export", "--store", where, "digests.jsonl")
        assert done.returncode == 0, done.stderr
