"""``svc-interop`` with amnesia: every file that the real process opens is listed by the kernel, and none is written."""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rco.measure.ports import free_port

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
KEY = b"0123456789abcdef0123456789abcdef"
TOKEN = "t" * 40
GIVE_UP_S = 120.0
CALLS = "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
CALLS += ",truncate,unlink,unlinkat,memfd_create,bind"
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE")

CONFIG = """
[amnesia]
enabled = true
purge = "1s"
admin_token = "env:ADMIN"

[audit]
sinks = ["store", "memory", "stdout"]

[auth]
enforce = true

[content]
enabled = true

[objects]
place = "memory"

[[grants]]
to = ["provider:shop"]
scopes = ["webhook:accept:shop"]

[providers.shop]
kind = "standard-webhooks"
secrets = [{ secret_id = "one", ref = "file:SECRET" }]
"""


# Nobody else puts anything into this /dev/shm, and what is in it is told when all that ran there has ended.
IN_A_SHM_OF_ITS_OWN = """
mount -t tmpfs none /dev/shm || exit 99
"$@"
status=$?
find /dev/shm -mindepth 1 >"$TOLD" || exit 99
exit "$status"
"""


class Process:
    """One ``svc-interop`` in a folder of its own, with its own TMPDIR and ``/dev/shm``, under strace.

    ``path`` is searched for modules before its own.
    """

    def __init__(self, folder: Path, config: str, path: str = "") -> None:
        self.home, self.tmp, self.seen = folder / "home", folder / "tmp", folder / "seen"
        mounted = folder / "mounted"
        for one in (self.home, self.tmp, self.seen, mounted):
            one.mkdir()
        self.secret = mounted / "secret"
        self.secret.write_text("whsec_" + base64.b64encode(KEY).decode())
        self.config = mounted / "svc-interop.toml"
        self.config.write_text(config.replace("SECRET", str(self.secret)))
        self.bind, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("RCO_", "SVC_INTEROP_"))}
        environ |= {"TMPDIR": str(self.tmp), "HOME": str(self.home), "ADMIN": TOKEN, "PYTHONDONTWRITEBYTECODE": "1"}
        environ |= {"TOLD": str(self.seen / "shm"), "PYTHONPATH": path}
        service = [BIN / "svc-interop", "--config", self.config, "--bind-addr", self.bind]
        service += ["--metrics-addr", self.metrics]
        apart = ["unshare", "-rm", "sh", "-c", IN_A_SHM_OF_ITS_OWN, "sh"]
        self.process = subprocess.Popen(
            [*apart, "strace", "-f", "-qq", "-y", "-e", f"trace={CALLS}", "-o", self.seen / "calls", *service],
            cwd=self.home,
            env=environ,
            stdout=(self.seen / "out").open("wb"),
            stderr=(self.seen / "err").open("wb"),
        )

    def until_ready(self) -> None:
        ends = time.monotonic() + GIVE_UP_S
        while self.ask("GET", f"http://{self.metrics}/readyz")[0] != 200:
            assert self.process.poll() is None, self.err
            assert time.monotonic() < ends, self.err
            time.sleep(0.05)

    @property
    def err(self) -> str:
        return (self.seen / "err").read_text() + (self.seen / "out").read_text()

    def service_pid(self) -> int:
        """The child of strace, which is that of the shell."""
        pid = self.process.pid
        for _ in range(2):
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        return pid

    def ask(self, method: str, url: str, body: bytes | None = None, headers: Any = None) -> tuple[int, Any]:
        asked = urllib.request.Request(url, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")
        except OSError:
            return 0, None

    def post(self, number: int, at_s: float) -> tuple[int, Any]:
        body = b'{"type":"order.paid","card":"visa-4111-%d"}' % number
        stamp = str(int(at_s))
        digest = hmac.new(KEY, f"msg_{number}.{stamp}.".encode() + body, "sha256").digest()
        headers = {
            "content-type": "application/json",
            "webhook-id": f"msg_{number}",
            "webhook-timestamp": stamp,
            "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        }
        return self.ask("POST", f"http://{self.bind}/webhooks/shop", body, headers)

    def recent(self) -> list[dict[str, Any]]:
        url = f"http://{self.bind}/v1/audit/recent?limit=1000"
        status, found = self.ask("GET", url, headers={"authorization": f"Bearer {TOKEN}"})
        assert status == 200, found
        return [one["decision"] for one in found["items"]]

    def stop(self) -> int:
        os.kill(self.service_pid(), signal.SIGTERM)
        return self.process.wait(GIVE_UP_S)

    def end(self) -> None:
        """Whatever it does."""
        if self.process.poll() is None:
            os.kill(self.service_pid(), signal.SIGKILL)
            self.process.wait()

    def in_shm(self) -> list[str]:
        """What was in its ``/dev/shm`` when it had ended."""
        return (self.seen / "shm").read_text().splitlines()

    def written(self) -> list[str]:
        """Every call that opened something for writing, or made, moved or removed a name, as the kernel saw it."""
        found = []
        for line in (self.seen / "calls").read_text().splitlines():
            call = line.split(maxsplit=1)[1]
            name = call.partition("(")[0]
            if "ENOENT" in call or name.startswith(("<", "+", "-")):
                continue
            if name in ("open", "openat", "openat2"):
                if WRITES.search(call) and '"/dev/null"' not in call and '"/dev/tty"' not in call:
                    found.append(call)
            elif name == "bind":
                if "sun_path=" in call:
                    found.append(call)
            else:
                found.append(call)
        return found


@pytest.fixture(scope="module", autouse=True)
def strace() -> None:
    subprocess.run([ROOT / "scripts" / "need-strace"], check=True)
    assert shutil.which("strace")


def test_no_file_is_opened_for_writing_and_nothing_remains(tmp_path: Path) -> None:
    one = Process(tmp_path, CONFIG)
    before_s = time.time()
    try:
        one.until_ready()
        # Signed before the start, though well within the window: who took it then is not known any more.
        assert one.post(1, before_s - 5) == (403, one_reason("POLICY_BLOCKED"))
        for number in range(2, 22):
            status, answer = one.post(number, time.time() + 2)
            assert status == 202, (answer, one.err)
        assert one.post(2, time.time() + 2)[1]["duplicate"] is True
        assert (
            one.ask("POST", f"http://{one.bind}/webhooks/shop", b"{}", {"content-type": "application/json"})[0] == 401
        )
        decisions = one.recent()
        assert sum(one["verb"] == "accept" for one in decisions) == 21
        assert "before_start" in {one.get("reason") for one in decisions}
        accepted = next(one for one in decisions if one["verb"] == "accept")
        assert accepted["facts"].keys() >= {"capability", "kid", "key_version", "secret_id", "latency_bucket"}
        # After a purge the secret is read again by its reference: without it there is no yes.
        moved = one.secret.rename(one.secret.with_name("away"))
        ends, before = time.monotonic() + GIVE_UP_S, 0
        while (status := one.post(30, time.time() + 2)[0]) == 202:
            before += 1
            assert time.monotonic() < ends
            time.sleep(0.2)
        assert status == 503
        moved.rename(one.secret)
        assert one.post(31, time.time() + 2)[0] == 202
        held = []
        for file in Path(f"/proc/{one.service_pid()}/fd").iterdir():
            # A connection may end between the listing and the look.
            with suppress(FileNotFoundError):
                held.append(str(file.readlink()))
        regular = [link for link in held if link.startswith("/") and not link.startswith(("/dev/", "/proc/"))]
        allowed = {str(one.seen / "out"), str(one.seen / "err")}
        assert set(regular) <= allowed, regular
        assert one.stop() == 0, one.err
    finally:
        one.end()
    calls = (one.seen / "calls").read_text()
    assert str(one.config) in calls  # the list is that of this process
    assert one.written() == []
    assert list(one.home.iterdir()) == [] == list(one.tmp.iterdir())
    assert one.in_shm() == []
    records = [line for line in (one.seen / "out").read_text().splitlines() if line.startswith('{"line":"record"')]
    assert sum('"verb":"accept"' in line for line in records) == 21 + before + 1
    assert TOKEN not in one.err
    assert "visa" not in one.err


PLANTED = """
import multiprocessing.resource_tracker, multiprocessing.shared_memory
# Kept as the attribute of a module: it is not closed before the interpreter ends, and nobody unlinks it.
kept = multiprocessing.shared_memory.SharedMemory("rco-kept", create=True, size=4096)
multiprocessing.resource_tracker.unregister(kept._name, "shared_memory")
"""


def test_what_the_service_leaves_in_shared_memory_is_seen(tmp_path: Path) -> None:
    (planted := tmp_path / "planted").mkdir()
    (planted / "sitecustomize.py").write_text(PLANTED)
    one = Process(tmp_path, CONFIG, str(planted))
    try:
        one.until_ready()
        assert one.stop() == 0, one.err
    finally:
        one.end()
    assert one.in_shm() == ["/dev/shm/rco-kept"]
    assert any("/dev/shm/rco-kept" in call for call in one.written())


def one_reason(reason: str) -> Any:
    class Same:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, dict) and other["reason"] == reason

        __hash__ = None  # type: ignore[assignment]

    return Same()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ('sinks = ["store", "file"]\nfile = "a.jsonl"', "nothing is written to one"),
        ("", "signs no time"),
    ],
)
def test_what_would_keep_something_stops_the_start_with_the_cure(tmp_path: Path, changed: str, said: str) -> None:
    config = CONFIG.replace('sinks = ["store", "memory", "stdout"]', changed or 'sinks = ["store"]')
    if not changed:
        config = config.replace('kind = "standard-webhooks"', 'kind = "github"')
    one = Process(tmp_path, config)
    assert one.process.wait(GIVE_UP_S) != 0
    assert said in one.err
    assert one.written() == []
