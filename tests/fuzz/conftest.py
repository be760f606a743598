"""A real service in a process of its own, with every door open that there is, and what is thrown at it.

``RCO_FUZZ_MINUTES`` says for how long; without it each test makes the few tries that a check can afford. A failure
prints the request, and hypothesis keeps it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, settings

from rco.measure.ports import free_port

MINUTES = float(os.environ.get("RCO_FUZZ_MINUTES", "0"))
READY_WITHIN_S = 60
APP = """
from rco.workflow import Context, workflow

@workflow
async def greet(ctx: Context, name):
    return {"hello": name}

@workflow
async def ask(ctx: Context, given):
    return await ctx.signal("answer")

@workflow
async def fail(ctx: Context, given):
    raise ValueError("no luck")

@workflow(on="order.*")
async def order(ctx: Context, event):
    return event["id"]
"""
CONFIG = """
app: app.py
server: {{bind_addr: "127.0.0.1:{port}", metrics_addr: "127.0.0.1:{metrics}"}}
capability: {{enforce: true}}
content: {{enabled: true}}
graphql: {{enabled: true, introspection: true, mutations: principals}}
limits: {{max_rps: 100000, burst_rps: 10000}}
grants:
  - {{to: ["provider:shop", "provider:put"], scopes: ["run:start:*", "webhook:accept:shop"]}}
  - {{to: ["role:admin"], scopes: ["call:*"]}}
targets:
  pay: {{base_url: "https://pay.example.com", allow: [{{methods: [GET], path: "/charges/*"}}]}}
providers:
  shop: {{kind: standard-webhooks, secrets: [{{secret_id: one, ref: "env:SHOP_SECRET"}}]}}
"""


@dataclass(frozen=True)
class Target:
    """The running service. ``known`` are identities of things that are there, by the name of their parameter."""

    url: str
    headers: dict[str, str]
    known: dict[str, list[str]]
    log: Path
    process: subprocess.Popen[bytes]

    def alive(self) -> None:
        """Raises when it ended, or logged an error that nobody handled."""
        assert self.process.poll() is None, self.log.read_text()[-3000:]


def examples(few: int) -> Any:
    """How hypothesis tries: ``few`` times, the same each time; more, and others each time, in a longer run."""
    return settings(
        max_examples=few if not MINUTES else 50,
        deadline=None,
        derandomize=not MINUTES,
        database=None,
        phases=[Phase.explicit, Phase.generate] if not MINUTES else [Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def rounds(parts: int) -> Iterator[int]:
    """One round for a check; of a longer run as many as fit into this part of it, of ``parts``. A round in which
    hypothesis is stopped in the middle would look to it like a test that changes its mind."""
    ends_s = time.monotonic() + MINUTES * 60 / parts
    yield 0
    while time.monotonic() < ends_s:
        yield 1


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    port, metrics = free_port(), free_port()
    (folder / "app.py").write_text(APP)
    (folder / "rco-config.yaml").write_text(CONFIG.format(port=port, metrics=metrics))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RCO_")}
    environ["SHOP_SECRET"] = "whsec_Z3VhcmQgZ3VhcmQgZ3VhcmQgZ3VhcmQgZ3VhcmQgZ3U="
    rco = [sys.executable, "-m", "rco"]
    subprocess.run([*rco, "keys", "rotate"], cwd=folder, env=environ, check=True, capture_output=True)
    log = folder / "service.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*rco, "dev", "app.py"], cwd=folder, env=environ, stdout=out, stderr=out)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-3000:])
            try:
                if requests.get(f"{url}/readyz", timeout=2).status_code == 200:
                    break
            except requests.ConnectionError:
                time.sleep(0.05)
        token = (folder / ".rco" / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        runs = [
            requests.post(f"{url}/v1/runs", json={"workflow": name, "input": 1}, headers=headers, timeout=10).json()[
                "id"
            ]
            for name in ("greet", "ask", "fail")
        ]
        yield Target(
            url, headers, {"run_id": runs, "workflow": ["greet", "ask"], "name": ["pay", "shop"]}, log, process
        )
        process.terminate()
        assert process.wait(timeout=30) == 0, log.read_text()[-3000:]
        errors = [line for line in log.read_text().splitlines() if '"event":"unhandled"' in line]
        assert not errors, errors[:3]
    finally:
        process.kill()
        process.wait()
