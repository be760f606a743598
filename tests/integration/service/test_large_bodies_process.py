"""Large webhooks and a whole process: what they take of its memory, and what is left when it or its disk gives out."""

from __future__ import annotations

import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rco.measure.ports import free_port

pytestmark = pytest.mark.timeout(180)
SECRET = "0123456789abcdef0123456789abcdef"
MiB = 1 << 20
APP = """
from rco.workflow import Body, Context, workflow

async def counted(body: Body) -> int:
    return sum([len(piece) async for piece in body.stream()])

@workflow(on="github.push")
async def pushed(ctx: Context, event: dict) -> int:
    return await ctx.read(counted, event["data"]) if "dataref" in event["data"] else 0
"""
CONFIG = """
app: app.py
data_dir: data
server: {{bind_addr: "127.0.0.1:{port}", metrics_addr: "127.0.0.1:0", read_timeout: 60s, handler_timeout: 60s}}
objects: {{place: "file:{objects}"}}
providers:
  forge:
    kind: github
    {limits}
    secrets: [{{secret_id: one, ref: "env:FORGE"}}]
"""


class Life:
    """One process at a time, always on the same port."""

    def __init__(self, folder: Path, limits: str = "large_body_limit: 25MiB", wrap: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.folder, self.wrap, self.objects = folder, wrap, folder / "objects"
        self.objects.mkdir()
        (folder / "app.py").write_text(APP)
        text = CONFIG.format(port=self.port, objects=self.objects, limits=limits)
        (folder / "rco.yaml").write_text(text)
        self.environ = {**os.environ, "FORGE": SECRET}
        rco = [sys.executable, "-m", "rco"]
        subprocess.run([*rco, "migrate", "--config", "rco.yaml"], cwd=folder, env=self.environ, check=True)
        self._command = [*wrap, *rco, "serve", "--config", "rco.yaml"]

    def begin(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=self.folder, env=self.environ, stdout=log, stderr=log)
        ends = time.monotonic() + 60
        while self._status("/readyz") != 200:
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < ends, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.05)

    def _status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def push(self, body: bytes) -> tuple[int, Any]:
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/webhooks/forge", data=body, headers=heads(body))
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def memory(self, field: str) -> int:
        """Bytes, of the process itself."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith(f"{field}:")]
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def heads(body: bytes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    return {
        "X-Hub-Signature-256": f"sha256={digest}",
        "X-GitHub-Event": "push",
        "Content-Type": "application/json",
    }


def large(size_bytes: int, seed: str = "a") -> bytes:
    frame = len(json.dumps({"seed": seed, "pad": ""}))
    return json.dumps({"seed": seed, "pad": "x" * (size_bytes - frame)}).encode()


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[list[Life]]:
    started: list[Life] = []
    yield started
    for life in started:
        life.stop()


def _peak(life: Life) -> int:
    """What the first 25 MiB take above what the process had, at most, having been warmed by smaller ones."""
    # The control API is loaded once the service is up, and takes 30 MiB then: not while it is measured.
    ends = time.monotonic() + 60
    while life._status("/v1/runs") != 401:
        assert time.monotonic() < ends
        time.sleep(0.05)
    for n in range(3):
        assert life.push(large(2 * MiB, f"warm{n}"))[0] == 202
    life.forget_peak()
    # The peak and not what it has now: it may give something back between the two.
    before = life.memory("VmHWM")
    for n in range(3):
        assert life.push(large(25 * MiB, str(n)))[0] == 202
    return life.memory("VmHWM") - before


def test_memory_is_flat_while_25_mib_pass(tmp_path: Path, lives: list[Life]) -> None:
    # A body that is held is held by every process; what one of them happens to load meanwhile is not.
    grown: list[int] = []
    while len(grown) < 3 and (not grown or grown[-1] >= 6 * MiB):
        (folder := tmp_path / str(len(grown))).mkdir()
        life = Life(folder)
        lives.append(life)
        life.begin()
        grown.append(_peak(life))
        life.stop()
    assert grown[-1] < 6 * MiB, [f"{one / MiB:.1f} MiB" for one in grown]


def test_the_measure_of_memory_can_fail(tmp_path: Path, lives: list[Life]) -> None:
    # The same bodies, held: what the exception is there to avoid.
    life = Life(tmp_path, "body_limit: 26MiB")
    lives.append(life)
    life.begin()
    assert _peak(life) > 25 * MiB


def test_a_kill_in_mid_upload_leaves_nothing_for_the_next_life(tmp_path: Path, lives: list[Life]) -> None:
    life = Life(tmp_path)
    lives.append(life)
    life.begin()
    incoming, body = life.objects / ".incoming", large(20 * MiB)
    head = "".join(f"{name}: {value}\r\n" for name, value in heads(body).items())
    with socket.create_connection(("127.0.0.1", life.port)) as wire:
        wire.sendall(f"POST /webhooks/forge HTTP/1.1\r\nHost: a\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode())
        wire.sendall(body[: 10 * MiB])
        ends = time.monotonic() + 60
        while not any(path.stat().st_size > 9 * MiB for path in incoming.iterdir()):
            assert time.monotonic() < ends
            time.sleep(0.01)
        life.kill()
    assert len(list(incoming.iterdir())) == 1, "the kill proved nothing"
    life.begin()
    assert list(incoming.iterdir()) == []
    assert [path for path in life.objects.rglob("*") if path.is_file()] == []
    assert life.push(body)[0] == 202


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, lives: list[Life]) -> None:
    # A disk of 12 MiB, in a world of files of its own.
    wrap = ("sh", "-c", f'mount -t tmpfs -o size=12m none {tmp_path}/objects && exec "$@"', "sh")
    life = Life(tmp_path, wrap=("unshare", "-rm", *wrap))
    lives.append(life)
    life.begin()
    inside = Path(f"/proc/{life.process.pid}/root{life.objects}")
    status, answer = life.push(large(25 * MiB))
    assert (status, answer["reason"]) == (503, "DOWNSTREAM_UNAVAILABLE")
    assert list((inside / ".incoming").iterdir()) == []
    assert [path for path in inside.rglob("*") if path.is_file()] == []
    # What there is room for is taken.
    assert life.push(large(5 * MiB))[0] == 202
    assert life.push(b'{"small": 1}')[0] == 202
