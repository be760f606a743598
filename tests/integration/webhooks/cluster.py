"""Three real ``rco serve`` on one PostgreSQL, whose clocks differ, and senders that take whichever answers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
from tests.integration.service.conftest import SECRET
from tests.integration.webhooks.conftest import Hooked
from tests.integration.webhooks.test_kills import free_port

from rco.client import Client
from rco.errors import RcoError

SKEWS_US = (0, -900_000, 700_000)
PATIENCE_S = 120.0


class Node:
    """One process, always on the same port."""

    def __init__(self, folder: Path, name: str, dsn: str, skew_us: int) -> None:
        folder.mkdir()
        (folder / "data").mkdir()
        self.folder, self.port, self.skew_us = folder, free_port(), skew_us
        self.url = f"http://127.0.0.1:{self.port}"
        quick = "heartbeat: 500ms, lease_ttl: 2s, lease_margin: 500ms, poll: 500ms"
        (folder / "rco.yaml").write_text(
            f"data_dir: {folder}/data\n"
            f"store: {{path: '{dsn}', node: {name}, {quick}}}\n"
            f"server: {{bind_addr: '127.0.0.1:{self.port}', metrics_addr: '127.0.0.1:{free_port()}'}}\n"
            "limits: {max_rps: 100000, burst_rps: 100000}\n"
            "providers: {shop: {kind: standard-webhooks, secrets: [{secret_id: one, ref: 'env:SHOP'}]}}\n"
            "webhooks: {key: 'env:HOOKS', allow_private: [127.0.0.0/8], allow_http: true, timeout: 60s,"
            " retry: [0.1s, 0.1s, 0.1s]}\n"
        )

    def start(self) -> None:
        script = Path(__file__).with_name("skewed.py")
        environ = {**os.environ, "SHOP": SECRET, "HOOKS": "5a" * 32, "SKEW_US": str(self.skew_us)}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(script), "serve", "--config", str(self.folder / "rco.yaml")],
                env=environ,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def said(self) -> str:
        return (self.folder / "log").read_text()[-3000:]


class Cluster:
    """The nodes, and one client of the first."""

    def __init__(self, folder: Path, dsn: str) -> None:
        subprocess.run([sys.executable, "-m", "rco", "migrate", "--store", dsn], check=True, capture_output=True)
        self.nodes = [Node(folder / name, name, dsn, skew) for name, skew in zip("abc", SKEWS_US, strict=True)]

    async def start(self) -> None:
        self.nodes[0].start()
        self.client = await self._reached(self.nodes[0])
        token = (self.nodes[0].folder / "data" / "admin.token").read_text()
        for node in self.nodes[1:]:
            (node.folder / "data" / "admin.token").write_text(token)
            node.start()
        for node in self.nodes[1:]:
            await (await self._reached(node)).__aexit__(None, None, None)

    async def _reached(self, node: Node) -> Client:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                assert node.process.poll() is None, node.said()
                try:
                    token = (node.folder / "data" / "admin.token").read_text().strip()
                    client = await Client(node.url, token).__aenter__()
                except FileNotFoundError:
                    await asyncio.sleep(0.1)
                    continue
                try:
                    await client.endpoints.list()
                except RcoError:
                    await client.__aexit__(None, None, None)
                    await asyncio.sleep(0.1)
                    continue
                return client

    async def stop(self) -> None:
        await self.client.__aexit__(None, None, None)
        for node in self.nodes:
            if node.process.poll() is None:
                node.kill()


async def sent(session: aiohttp.ClientSession, hooked: Hooked, nodes: list[Node], at: int, id: str, data: Any) -> None:
    """Sent to one node after the other, under the same id, until one says that it has it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            body, headers = hooked.signed(id, "order.paid", data)
            try:
                url = f"{nodes[at % len(nodes)].url}/webhooks/shop"
                async with session.post(url, data=body, headers=headers, timeout=aiohttp.ClientTimeout(10)) as answer:
                    if answer.status == 202:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            at += 1
            await asyncio.sleep(0.02)
