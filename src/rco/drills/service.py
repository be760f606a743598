"""A service of a drill's own: a real process in a scratch folder, with a database, keys, content and a target."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from rco.capability.keyfile import rotate
from rco.client import Client
from rco.drills.faults import Fault
from rco.kit.clock import MICROS, SystemClock
from rco.kit.ids import Ids
from rco.measure.ports import free_port
from rco.model.wire_capabilities import MintAsk

__all__ = ["PROVIDER", "WEBHOOK_SECRET", "OwnService", "plain"]

PROVIDER = "drill"
WEBHOOK_SECRET = "DRILL_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
_TOKEN_S = 1800
_KEY_AGE_S = 86_400
"""Of the root key, so that a clock that is set back does not come before it."""


class OwnService:
    """``begin`` starts it, ``kill`` ends it in the hard way, ``stop`` as an operator would. ``more`` are settings by
    section; ``calm_s`` and ``full_s`` how long the sentinel waits for calm, and for a queue to be full."""

    def __init__(
        self,
        folder: Path,
        ledger_url: str,
        more: dict[str, dict[str, Any]] | None = None,
        *,
        store: str = "",
        calm_s: float = 60.0,
        full_s: float = 60.0,
    ) -> None:
        """``store``: the address of an empty, migrated PostgreSQL database; without it a file is made."""
        self.folder, self._ledger_url, self._more = folder, ledger_url, more or {}
        self._calm_s, self._full_s = calm_s, full_s
        self.port, self._metrics_port = free_port(), free_port()
        self.url, self.metrics_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self._metrics_port}"
        self.data = folder / "data"
        self.config = folder / "rco-config.yaml"
        self.store = store or str(self.data / "rco.db")
        self.log = folder / "service.log"
        self.secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        self.token = ""
        """A capability to put content with."""
        self._process: asyncio.subprocess.Process | None = None

    def settings(self) -> dict[str, Any]:
        """What the service is configured with."""
        settings: dict[str, Any] = {
            "app": str(Path(__file__).with_name("app.py")),
            "data_dir": str(self.data),
            "store": {"path": self.store},
            "server": {
                "bind_addr": f"127.0.0.1:{self.port}",
                "metrics_addr": f"127.0.0.1:{self._metrics_port}",
            },
            "capability": {"enforce": True},
            "content": {"enabled": True},
            "providers": {
                PROVIDER: {
                    "kind": "standard-webhooks",
                    "secrets": [{"secret_id": "drill", "ref": f"env:{WEBHOOK_SECRET}"}],
                }
            },
            "targets": {
                "ledger": {
                    "base_url": self._ledger_url,
                    "allow": [{"methods": ["POST"], "path": "/entries"}],
                    "allow_private": ["127.0.0.0/8"],
                    "timeout": "2s",
                    "attempts": 20,
                    "backoff": {"first": "50ms", "cap": "1s"},
                }
            },
            "grants": [
                {
                    "to": [f"provider:{PROVIDER}"],
                    "scopes": [f"webhook:accept:{PROVIDER}", "run:start:book", "call:ledger:POST:/entries"],
                }
            ],
        }
        for section, given in self._more.items():
            before = settings.get(section, {})
            settings[section] = {**before, **given} if isinstance(before, dict) else before
        return settings

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def begin(self) -> None:
        """Start it, and wait until it is ready. Raises ``RuntimeError`` with its last words when it ends instead."""
        if not self.config.exists():
            self.data.mkdir(mode=0o700)
            # JSON is YAML.
            self.config.write_bytes(msgspec.json.format(msgspec.json.encode(self.settings()), indent=2))
            made_us = SystemClock().now_us() - _KEY_AGE_S * MICROS
            rotate(self.data / "keyring.json", ids=Ids(), now_us=made_us, lead_s=0.0, overlap_s=7200.0)
        self._process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "rco.drills.node",
                str(self.config),
                str(self.log),
                str(self._calm_s),
                str(self._full_s),
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # What is set for a service of the user's own is not meant for this one.
            env={**plain(os.environ), WEBHOOK_SECRET: self.secret},
            start_new_session=True,
        )
        await self._said(b"ready")
        if not self.token:
            async with self.client() as client:
                minted = await client.mint(MintAsk(scopes=["write:put"], ttl_ms=_TOKEN_S * 1000))
            self.token = minted.token

    def client(self) -> Client:
        """A client with the administrator's token."""
        return Client(self.url, (self.data / "admin.token").read_text().strip())

    async def fault(self, fault: Fault) -> None:
        """Let ``fault`` hold from now on, in the service's own process."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(fault) + b"\n")
        await self._process.stdin.drain()
        await self._said(b"done")

    async def kill(self) -> None:
        """``kill -9``: whatever it was doing."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and the time to drain. A second call has no effect."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _said(self, word: bytes) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        began = time.monotonic()
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if line.strip() != word:
            words = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
            raise RuntimeError(f"the service does not answer after {time.monotonic() - began:.0f} s: {words}")


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without what sets up a service."""
    return {name: value for name, value in environ.items() if not name.startswith(("RCO_", "SVC_INTEROP_"))}
