"""Nodes to be killed: the service without its HTTP servers, as processes that start in milliseconds.

``python -m tests.crash.node`` imports the service once and then forks: each line on standard input (a ``Birth``)
becomes a process of its own with keeper, engine, bridge and egress as ``rco.app`` wires them. Instead of HTTP it
listens on an abstract Unix socket for lines of JSON. On standard output stand ``born PID``, ``ready PID`` and, once the
kernel has reaped it, ``dead PID SIGNAL``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import select
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from tests.crash.birth import Birth, address
from tests.crash.traps import plant, set_trap

from rco.app import Service
from rco.audit.export import export
from rco.config import Settings, load
from rco.engine.ask import StartAsk
from rco.errors import Overloaded, RcoError, Unreachable
from rco.kit.ids import id_bytes, id_text
from rco.model.principal import Principal, Role
from rco.operations.cancel import cancel
from rco.operations.inspect_runs import show_run
from rco.operations.settle import settle
from rco.operations.signal import signal as send_signal
from rco.operations.start import start
from rco.workflow.versions import Versions, load_versions

__all__ = ["main"]

LOADED_BY_EACH = (
    "rco.bridge.private_keys",
    "rco.bridge.providers.standard_webhooks",
    "rco.bridge.public_keys",
    "rco.store.migrations",
    "importlib.resources.readers",
)
_WHO = Principal(principal_id="admin", name="administrator", role=Role.ADMIN)


class Node(Service):
    """The service as it is wired for everybody, with another door."""

    async def _listen(self, settings: Settings, keeper: Any) -> None:
        self.url = self.metrics_url = "unix"
        server = await asyncio.start_unix_server(self._talk, path=address(os.getpid()), limit=1 << 24)

        async def stop() -> None:
            server.close()

        self._stops.append(stop)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks = set()
        while line := await reader.readline():
            task = asyncio.create_task(self._answer(json.loads(line), writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _answer(self, ask: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            said = {"ok": await getattr(self, f"do_{ask.pop('do')}")(**ask.pop("with"))}
        except Overloaded as problem:
            said = {"busy": str(problem)}
        except RcoError as problem:
            said = {"error": problem.code, "message": str(problem)}
        except Exception as problem:  # noqa: BLE001 - the client is told, and takes it as it takes a 500
            said = {"error": "internal", "message": f"{type(problem).__name__}: {problem}"}
        writer.write(json.dumps({"n": ask["n"], **said}).encode() + b"\n")

    async def do_start(self, workflow: str, input: Any, key: str) -> Any:
        started = await start(self._desk, _WHO, StartAsk(workflow=workflow, input=input, key=key))
        return [id_text(started.run_id), started.created]

    async def do_signal(self, run_id: str, name: str, value: Any, message_id: str) -> bool:
        return await send_signal(self._desk, _WHO, id_bytes(run_id), name, value, message_id)

    async def do_cancel(self, run_id: str) -> None:
        await cancel(self._desk, _WHO, id_bytes(run_id), "asked to")

    async def do_settle(self, run_id: str, key: str, verdict: str, value: Any) -> None:
        await settle(self._desk, _WHO, id_bytes(run_id), key, verdict, value, "looked it up")

    async def do_deliver(self, headers: dict[str, str], body: str) -> Any:
        """Through the real ingress; only the socket is missing."""
        data = body.encode()
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/webhooks/shop",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            + [(b"content-length", str(len(data)).encode()), (b"host", b"localhost")],
        }
        said: dict[str, Any] = {}

        async def take() -> dict[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            said.update(message)

        status = await self._ingress(scope, take, send)
        if status == 503:
            raise Unreachable("not now")
        return [status, json.loads(said["body"])]

    async def do_state(self, run_id: str) -> Any:
        view = await show_run(self._desk, _WHO, id_bytes(run_id))
        return {"state": view.state, "error": view.error}

    async def do_result(self, run_id: str) -> Any:
        view = await show_run(self._desk, _WHO, id_bytes(run_id))
        return {"state": view.state, "error": view.error, "result": view.result}

    async def do_open_runs(self) -> dict[str, int]:
        return {mode.name: count for mode, count in (await self._desk.reader.count_open()).items()}

    async def do_export(self, path: str) -> None:
        with Path(path).open("wb") as file:
            async for line in export(self._desk.reader, journal=True):
                file.write(line)

    async def do_stop(self) -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)


async def _live(birth: Birth, tell: int) -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    settings = load(Path(birth.config), birth.environ, {}).settings
    versions: Versions = await asyncio.to_thread(load_versions, settings.app, "", {})
    node = Node(settings, versions, birth.environ, migrating=True)
    await node.start()
    os.write(tell, f"ready {os.getpid()}\n".encode())
    node.failed.add_done_callback(lambda _: ending.set())
    await ending.wait()
    await node.stop()


def _be_born(birth: Birth, tell: int) -> None:
    """The life of one node: in the forked process, from the first line to the last."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(birth.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(birth.environ)
    os.write(1, f"--- {os.getpid()} {birth.trap}\n".encode())
    plant(birth.environ.get("CRASH_PLANT", ""))
    if birth.trap:
        set_trap(birth.trap)
    uvloop.run(_live(birth, tell))


def main() -> None:
    """Fork until an empty line or the end of standard input; then every node that lives is killed."""
    assert len(os.listdir("/proc/self/task")) == 1, "a thread would not survive the fork"  # noqa: PTH208
    # What every node would load and look through by itself: the collector of a child would write to each page of it.
    for name in LOADED_BY_EACH:
        import_module(name)
    gc.collect()
    gc.freeze()
    tell = os.dup(1)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    alive: set[int] = set()
    os.write(tell, b"waiting 0\n")
    rest = b""
    while True:
        try:
            ready, _, _ = select.select([0, woken], [], [])
        except InterruptedError:
            continue
        if woken in ready:
            os.read(woken, 4096)
            _bury(alive, tell)
        if 0 in ready:
            data = os.read(0, 1 << 16)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            # The end of a pipe is seen when the last that holds it lets go, and others fork as well.
            if b"" in lines:
                break
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    status = 1
                    try:
                        _be_born(msgspec.json.decode(line, type=Birth), tell)
                        status = 0
                    except BaseException:  # noqa: BLE001 - a forked process may not come back from here
                        sys.excepthook(*sys.exc_info())
                    finally:
                        sys.stdout.flush()
                        sys.stderr.flush()
                        os._exit(status)
                alive.add(pid)
                os.write(tell, f"born {pid}\n".encode())
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    # There is nothing to tidy, and nothing that was loaded may hold this up.
    os._exit(0)


def _bury(alive: set[int], tell: int) -> None:
    for pid in list(alive):
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            alive.discard(pid)
            how = os.waitstatus_to_exitcode(status)
            os.write(tell, f"dead {pid} {how}\n".encode())


if __name__ == "__main__":
    main()
