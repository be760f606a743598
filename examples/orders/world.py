"""The processes of the demo: RCO as ``rco dev``, the services, and what starts, kills and stops them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from examples.orders.deliveries import Keys
from rco.measure.ports import free_port

__all__ = ["ROOT", "SERVICES", "World", "stop_kept"]

ROOT = Path(__file__).parents[2]
SERVICES = {"inventory": 8101, "payments": 8102, "shipping": 8103}
"""Service and the port it has in ``rco-config.yaml``; the demo takes free ones instead."""
READY_WITHIN_S = 45.0
_RCO = str(Path(sys.executable).with_name("rco"))


class World:
    """Everything the demo starts, in one folder. ``start`` and ``stop`` once; ``kill`` and ``restart`` in between."""

    def __init__(self, folder: Path, keys: Keys, seed: int) -> None:
        self.folder, self.keys, self.seed = folder, keys, seed
        self.port, self.metrics_port = free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.ledgers = folder / "ledgers"
        self.token_file = folder / "data" / "admin.token"
        self.service_urls: dict[str, str] = {}
        self._services: list[subprocess.Popen[bytes]] = []
        self._rco: subprocess.Popen[bytes] | None = None
        self._environ: dict[str, str] = {}

    async def start(self) -> None:
        """The services, then RCO. Returns when RCO says that it is ready."""
        (self.folder / "logs").mkdir(parents=True)
        config = (ROOT / "examples/orders/rco-config.yaml").read_text()
        for name, usual in SERVICES.items():
            port = await self._start_service(name)
            self.service_urls[name] = f"http://127.0.0.1:{port}"
            config = config.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{port}")
        (self.folder / "rco-config.yaml").write_text(config)
        self._environ = {
            **os.environ,
            "SHOP_WEBHOOK_SECRET": self.keys.shop,
            "FORGE_WEBHOOK_SECRET": self.keys.forge,
            "RCO_DATA_DIR": str(self.folder / "data"),
            "RCO_SERVER_BIND_ADDR": f"127.0.0.1:{self.port}",
            "RCO_SERVER_METRICS_ADDR": f"127.0.0.1:{self.metrics_port}",
        }
        await self.restart()

    async def _start_service(self, name: str) -> int:
        log = (self.folder / "logs" / f"{name}.log").open("ab")
        ledger = str(self.ledgers / f"{name}.jsonl")
        process = subprocess.Popen(
            [sys.executable, "-m", f"examples.services.{name}", "--ledger", ledger, "--seed", str(self.seed)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        self._services.append(process)
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        if not line:
            raise RuntimeError(f"{name} did not start; see {log.name}")
        return int(line.split()[-1])

    async def restart(self) -> None:
        """Start RCO on what its folder holds. Returns when it is ready."""
        log_path = self.folder / "logs" / "rco.log"
        with log_path.open("ab") as log:
            self._rco = subprocess.Popen(
                [_RCO, "dev", "examples/orders/app.py", "--config", str(self.folder / "rco-config.yaml")],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
            while not await _ready(client, self.base_url):
                if self._rco.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"rco dev did not become ready; the end of {log_path}:\n{_end_of(log_path)}")
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """``kill -9``: no warning, no chance to tidy up. Returns when nothing of it runs any more."""
        assert self._rco is not None
        os.killpg(self._rco.pid, signal.SIGKILL)
        self._rco.wait()

    def headers(self) -> dict[str, str]:
        """What the control API wants to see."""
        return {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}

    async def info(self, client: aiohttp.ClientSession) -> dict[str, Any]:
        """``GET /v1/info``."""
        async with client.get(f"{self.base_url}/v1/info", headers=self.headers()) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    async def export(self, path: Path) -> None:
        """Write the evidence with the journal to ``path``, by the command that an auditor would use."""
        command = [_RCO, "audit", "export", "--journal", "--out", str(path)]
        environ = {**self._environ, "RCO_URL": self.base_url, "RCO_TOKEN_FILE": str(self.token_file)}
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=environ, capture_output=True, check=False, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")

    def leave(self) -> None:
        """Let everything run on; note the processes so that ``stop_kept`` finds them."""
        running = [process.pid for process in [*self._services, self._rco] if process is not None]
        (self.folder / "kept.pids").write_text(" ".join(map(str, running)))

    def stop(self) -> None:
        """Stop everything: RCO gets the time to drain, the services need none. A second call has no effect."""
        if self._rco is not None and self._rco.poll() is None:
            os.killpg(self._rco.pid, signal.SIGTERM)
            try:
                self._rco.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self._rco.pid, signal.SIGKILL)
                self._rco.wait()
        for process in self._services:
            if process.poll() is None:
                process.kill()
                process.wait()


def stop_kept(folder: Path) -> None:
    """Stop what an earlier demo left running in ``folder``. Only processes that are still those of the demo."""
    noted = folder / "kept.pids"
    if not noted.exists():
        return
    for text in noted.read_text().split():
        pid = int(text)
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"examples.services." in command or b"examples/orders/app.py" in command:
            os.killpg(pid, signal.SIGTERM)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.05)
    noted.unlink()


def _end_of(log: Path) -> str:
    """What the command said to people, without the JSON lines that it logs for machines."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join([line for line in lines if not line.startswith("{")][-10:])


async def _ready(client: aiohttp.ClientSession, base_url: str) -> bool:
    try:
        async with client.get(f"{base_url}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        return False
