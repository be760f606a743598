"""``rco serve`` killed with -9 while deliveries are under way: what was acknowledged is delivered all the same."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from tests.integration.service.conftest import SECRET, Downstream
from tests.integration.webhooks.conftest import Hooked, Receiver

from rco.client import Client
from rco.errors import RcoError
from rco.measure.ports import free_port
from rco.model.wire_endpoints import CreateEndpoint

pytestmark = pytest.mark.timeout(180)
ROUNDS = 4


class Life:
    """One process at a time, always on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "rco.yaml").write_text(
            f"data_dir: {folder}/data\n"
            f"server: {{bind_addr: '127.0.0.1:{self.port}', metrics_addr: '127.0.0.1:{free_port()}'}}\n"
            "providers: {shop: {kind: standard-webhooks, secrets: [{secret_id: one, ref: 'env:SHOP'}]}}\n"
            "webhooks: {allow_private: [127.0.0.0/8], allow_http: true, timeout: 5s, retry: [0.1s, 0.1s, 0.1s]}\n"
        )
        (folder / "data").mkdir()
        rco = [sys.executable, "-m", "rco"]
        self._command = [*rco, "serve", "--config", str(folder / "rco.yaml")]
        subprocess.run([*rco, "migrate", "--config", str(folder / "rco.yaml")], check=True, capture_output=True)

    async def begin(self) -> Client:
        with (self.folder / "log").open("ab") as log:
            environ = {**os.environ, "SHOP": SECRET}
            self.process = subprocess.Popen(self._command, env=environ, stdout=log, stderr=log)
        async with asyncio.timeout(60):
            while True:
                await asyncio.sleep(0.05)
                assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
                try:
                    token = (self.folder / "data" / "admin.token").read_text().strip()
                    client = await Client(self.url, token).__aenter__()
                    try:
                        await client.endpoints.list()
                    except RcoError:
                        await client.__aexit__(None, None, None)
                        continue
                    return client
                except FileNotFoundError:
                    continue

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


async def test_a_kill_in_mid_delivery_loses_nothing(tmp_path: Path) -> None:
    receiver = Receiver()
    await receiver.start()
    sender = Hooked(tmp_path, Downstream(), receiver)
    life = Life(tmp_path)
    client = await life.begin()
    try:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            ask = CreateEndpoint(url=receiver.url + "/hook", types=["order.*"])
            made = await client.endpoints.create(ask)
            for turn in range(ROUNDS):
                # The receiver has the request and has not answered: that is when the process dies.
                receiver.hold, receiver.arrived = asyncio.Event(), asyncio.Event()
                for number in range(3):
                    body, headers = sender.signed(f"e{turn}-{number}", "order.paid", {"order": f"{turn}-{number}"})
                    async with session.post(f"{life.url}/webhooks/shop", data=body, headers=headers) as answer:
                        assert answer.status == 202
                async with asyncio.timeout(30):
                    await receiver.arrived.wait()
                life.kill()
                await client.__aexit__(None, None, None)
                receiver.hold.set()
                client = await life.begin()
            async with asyncio.timeout(60):
                while True:
                    page = await client.endpoints.deliveries(made.endpoint.id, limit=50)
                    if all(one.closed_at for one in page.items):
                        break
                    await asyncio.sleep(0.05)
        assert len(page.items) == 3 * ROUNDS
        assert {one.state for one in page.items} == {"completed"}
        orders: dict[str, set[str]] = {}
        for _, headers, body in receiver.seen:
            told = Webhook(made.secret).verify(body.decode(), headers)
            orders.setdefault(told["data"]["data"]["order"], set()).add(headers["webhook-id"])
        assert sorted(orders) == sorted(f"{turn}-{number}" for turn in range(ROUNDS) for number in range(3))
        assert all(len(names) == 1 for names in orders.values())
        assert len(receiver.seen) > 3 * ROUNDS, "no attempt was cut off: the kills proved nothing"
    finally:
        await client.__aexit__(None, None, None)
        life.kill()
        await receiver.stop()
