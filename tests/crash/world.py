"""The processes of a test: one service that is killed and started again on the same folder, one that never dies."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import aiohttp
import msgspec
from tests.crash.birth import Birth, address
from tests.crash.door import Door, HttpDoor, PipeDoor
from tests.crash.leftovers import of_sqlite
from tests.crash.tenures import Tenures

from rco.measure.ports import free_port

__all__ = ["ROOT", "SECRET", "Downstream", "NodeWorld", "ServeWorld", "World", "Zygote"]

ROOT = Path(__file__).parents[2]
SECRET = "whsec_" + "Y3Jhc2ggdGVzdHMgY3Jhc2ggdGVzdHMgY3Jhc2g="
DOORS = 3
"""Of the downstream service: the most nodes that a test can tell apart in its ledger."""
PATIENCE_S = 60.0
"""After this long something hangs; nothing is measured by it."""
_CONFIG = """
app: {app}
data_dir: {data}
server: {{bind_addr: "127.0.0.1:{port}", metrics_addr: "127.0.0.1:{metrics_port}", drain_timeout: 1s}}
engine: {{park_after: {park_after}, timer_window: 2s}}
limits: {{max_rps: 5000, burst_rps: 5000}}
brownout: {{enabled: false}}
providers:
  shop:
    kind: standard-webhooks
    secrets:
      - {{secret_id: shop-1, ref: "env:CRASH_WEBHOOK_SECRET"}}
targets:
  desk:
    base_url: http://127.0.0.1:{downstream}
    allow_private: [127.0.0.0/8]
    allow:
      - {{methods: [POST], path: /effects/*}}
      - {{methods: [POST], path: /refusals/*}}
      - {{methods: [GET], path: /lookups/*}}
    timeout: 500ms
    attempts: 60
    backoff: {{first: 20ms, cap: 200ms}}
    breaker: {{failure_ratio: 0.99, min_calls: 1000, window: 5s, open: 200ms}}
  plain:
    base_url: http://127.0.0.1:{downstream}
    allow_private: [127.0.0.0/8]
    allow:
      - {{methods: [POST], path: /effects/*}}
    timeout: 20s
    attempts: 3
    backoff: {{first: 20ms, cap: 200ms}}
    idempotency_header: null
"""


class Downstream:
    """The process of ``tests.crash.downstream``."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.ledger = folder / "ledger.jsonl"
        command = [sys.executable, "-m", "tests.crash.downstream", "--ledger", str(self.ledger), "--seed", str(seed)]
        command += ["--doors", str(DOORS)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        self.ports = [int(port) for port in self._process.stdout.readline().split()[2:]]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Zygote:
    """The process of ``tests.crash.node``; ``bear`` gives a pid and the futures of its readiness and its death."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.node"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._born: queue.Queue[int] = queue.Queue()
        self._ready: dict[int, Future[None]] = {}
        self._dead: dict[int, Future[int]] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._born.get(timeout=PATIENCE_S)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, pid, *rest = line.decode().split()
            number = int(pid)
            ready, dead = self._ready.setdefault(number, Future()), self._dead.setdefault(number, Future())
            match word:
                case "ready":
                    ready.set_result(None)
                case "dead":
                    dead.set_result(int(rest[0]))
                case _:
                    self._born.put(number)

    def bear(self, birth: Birth) -> tuple[int, Future[None], Future[int]]:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(birth) + b"\n")
        self._process.stdin.flush()
        pid = self._born.get(timeout=PATIENCE_S)
        return pid, self._ready[pid], self._dead[pid]

    def stop(self) -> None:
        """No more births; what lives is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.close()
        self._process.wait()
        self._thread.join()
        self._process.stdout.close()


class World:
    """A service on one data folder, over its lives. ``kills`` counts the deaths by SIGKILL; ``door`` is the one of the
    downstream service that its calls go to; ``store`` a section of its configuration."""

    def __init__(
        self,
        folder: Path,
        downstream: Downstream,
        *,
        park_after: str = "200ms",
        door: int = 0,
        store: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.downstream = folder, downstream
        self.downstream_port = downstream.ports[door]
        self.kills = 0
        self.ports = free_port(), free_port()
        self.log = folder / "service.log"
        self.config = folder / "rco-config.yaml"
        self.config.write_text(
            _CONFIG.format(
                app=json.dumps(str(Path(__file__).with_name("app.py"))),
                data=json.dumps(str(folder / "data")),
                port=self.ports[0],
                metrics_port=self.ports[1],
                downstream=self.downstream_port,
                park_after=park_after,
            )
            + (f"store: {json.dumps(store)}\n" if store else "")
        )
        self.environ = {"CRASH_WEBHOOK_SECRET": SECRET, "CRASH_DOWNSTREAM_PORT": str(self.downstream_port)}
        self._door: Door | None = None
        self._up = asyncio.Event()

    @property
    def database(self) -> Path:
        return self.folder / "data" / "rco.db"

    def leftovers(self) -> dict[str, int]:
        """Rows that belong to no open run."""
        return of_sqlite(self.database)

    def tenures(self) -> Tenures | None:
        """Who owned what and when; nothing where there is one owner for ever."""
        return None

    async def door(self) -> Door:
        """A door to the life there is; waits for the next one when there is none."""
        async with asyncio.timeout(PATIENCE_S):
            while self._door is None:
                await self._up.wait()
        return self._door

    @property
    def current(self) -> Door | None:
        """The door to the life there is, if it answers."""
        return self._door

    def _opened(self, door: Door) -> None:
        self._door = door
        self._up.set()

    async def _shut(self) -> None:
        door, self._door = self._door, None
        self._up.clear()
        if door is not None:
            await door.close()

    def tail(self) -> str:
        """The end of the service's log, for a message."""
        lines = self.log.read_bytes().splitlines()[-12:] if self.log.exists() else []
        return b"\n".join(lines).decode(errors="replace")

    @property
    def dead(self) -> bool:
        raise NotImplementedError

    async def kill(self) -> None:
        raise NotImplementedError


class NodeWorld(World):
    """Lives of ``tests.crash.node``."""

    def __init__(self, folder: Path, downstream: Downstream, zygote: Zygote, *, park_after: str = "200ms") -> None:
        super().__init__(folder, downstream, park_after=park_after)
        self._zygote = zygote
        self._pid = 0
        self._dead: Future[int]

    async def start(self, trap: str = "", *, wait: bool = True) -> None:
        """Begin a life. Returns when it is ready or dead; at once without ``wait``."""
        birth = Birth(str(self.config), str(self.log), {**os.environ, **self.environ}, trap)
        self._pid, ready, self._dead = await asyncio.to_thread(self._zygote.bear, birth)
        if not wait:
            return
        either = [asyncio.wrap_future(ready), asyncio.wrap_future(self._dead)]
        done, _ = await asyncio.wait(either, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        assert done, f"the node is neither ready nor dead; its log ends:\n{self.tail()}"
        if not self._dead.done():
            door = PipeDoor(self._lost)
            try:
                await door.connect(address(self._pid))
            except OSError:
                return
            self._opened(door)

    def _lost(self) -> None:
        self._door = None
        self._up.clear()

    @property
    def dead(self) -> bool:
        return self._dead.done()

    async def death(self) -> None:
        """Wait until it is dead, and see that SIGKILL was what it died of."""
        how = await asyncio.wait_for(asyncio.wrap_future(self._dead), PATIENCE_S)
        assert how == -signal.SIGKILL, f"the node ended with {how}; its log ends:\n{self.tail()}"
        self.kills += 1
        self._lost()

    async def kill(self) -> None:
        if not self._dead.done():
            os.kill(self._pid, signal.SIGKILL)
        await self.death()

    async def stop(self) -> None:
        """End it as SIGTERM does; a node that was killed already stays so."""
        if not self._dead.done():
            door = self._door
            os.kill(self._pid, signal.SIGTERM)
            how = await asyncio.wait_for(asyncio.wrap_future(self._dead), PATIENCE_S)
            if door is not None:
                await door.close()
            assert how == 0, f"the node ended with {how}; its log ends:\n{self.tail()}"


class ServeWorld(World):
    """Lives of ``rco serve``, over HTTP."""

    def __init__(
        self, folder: Path, downstream: Downstream, *, door: int = 0, store: dict[str, str] | None = None
    ) -> None:
        super().__init__(folder, downstream, door=door, store=store)
        self._process: subprocess.Popen[bytes] | None = None
        self._environ = {**os.environ, **self.environ}
        self._rco = str(Path(sys.executable).with_name("rco"))

    @property
    def dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    @property
    def pid(self) -> int:
        """Of the life there is, or was last."""
        assert self._process is not None
        return self._process.pid

    def pause(self) -> None:
        """Stop every thread of it, as a suspended machine does. Its sockets stay open and take what comes."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def ended(self) -> int:
        """Wait until it has ended by itself; how."""
        assert self._process is not None
        how = await asyncio.to_thread(self._process.wait, PATIENCE_S)
        await self._shut()
        return how

    async def ready(self) -> None:
        """Wait until a life that was started without waiting answers. Fails when it ends before."""
        await self._ready()

    def migrate(self) -> None:
        command = [self._rco, "migrate", "--store", str(self.database)]
        subprocess.run(command, cwd=ROOT, env=self._environ, check=True, capture_output=True)

    async def start(self, *, wait: bool = True) -> None:
        """Begin a life. Returns when it says that it is ready; at once without ``wait``."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._rco, "serve", "--config", str(self.config)],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            await self._ready()

    async def _ready(self) -> None:
        assert self._process is not None
        url = f"http://127.0.0.1:{self.ports[0]}"
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as client:
            while True:
                assert self._process.poll() is None, f"rco serve ended; its log ends:\n{self.tail()}"
                try:
                    async with client.get(f"{url}/readyz") as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.03)
        door = HttpDoor(url, (self.folder / "data" / "admin.token").read_text().strip())
        await door.connect()
        self._opened(door)

    async def kill(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, f"rco serve had ended; its log ends:\n{self.tail()}"
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)
        self.kills += 1
        await self._shut()

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            how = await asyncio.to_thread(self._process.wait, 20)
            await self._shut()
            assert how == 0, f"rco serve ended with {how}; its log ends:\n{self.tail()}"
