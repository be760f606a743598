"""``svc-interop`` as its runbook prints it: started, asked, changed while it runs, and stopped. Real processes."""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rco.measure.ports import free_port

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
SECRET = "0123456789abcdef0123456789abcdef"
FIXTURE = ROOT / "tests" / "fixtures" / "providerX_event.json"
GIVE_UP_S = 60.0

CONFIG = """
[providers.providerX]
kind = "hmac"
content_types = ["application/json", "application/x-www-form-urlencoded"]
secrets = [{ secret_id = "one", ref = "env:PROVIDER_X_SECRET" }]
scheme = { signature_header = "X-Signature" }
"""

# Sections 2, 3 and 5 of the runbook, and config check of section 6, as printed. A tail goes on for ever, so it is ended
# once it has told what is asked for below.
START = r"""
RUST_LOG=info \
SVC_INTEROP_BIND_ADDR=0.0.0.0:8080 \
SVC_INTEROP_METRICS_ADDR=127.0.0.1:9909 \
SVC_INTEROP_MAX_CONNS=512 \
SVC_INTEROP_MAX_RPS=500 \
SVC_INTEROP_BURST_RPS=250 \
./target/release/svc-interop --config /etc/ron/svc-interop.toml
"""
READY = "curl -sf http://127.0.0.1:9909/readyz      # 200 when deps green & below thresholds"
ALIVE = "curl -sf http://127.0.0.1:9909/healthz     # 200 when process alive"
SMOKE = r"""
curl -sS -X POST http://127.0.0.1:8080/webhooks/providerX \
  -H "X-Signature: <fixture>" -d @tests/fixtures/providerX_event.json
"""
METRICS = (
    "curl -s http://127.0.0.1:9909/metrics | grep -E "
    "'svc_interop_(requests_total|latency_seconds|rejected_total|busy_rejections_total|audit_drop_total|inflight)'"
)
TAIL = "ronctl tail --topic svc-interop --since 15m"
CHECK = "ronctl config check"
LOGS = "journalctl -u svc-interop -f | jq -rc 'select(.corr_id!=null) | [.ts,.level,.reason,.provider,.corr_id] | @tsv'"

# In a network and a folder tree of its own, so that the ports and /etc/ron are the printed ones.
SCRIPT = r"""
set -eu
ip link set lo up
mkdir -p upper work
mount -t overlay overlay -o lowerdir=/etc,upperdir=$PWD/upper,workdir=$PWD/work /etc
mkdir -p /etc/ron && cp configuration /etc/ron/svc-interop.toml
journalctl() { cat log; }  # there is no systemd here: what the service printed is what its journal holds
( @START@ ) >log 2>err &
service=$!
for _ in $(seq 300); do if @READY@ ; then break; fi; sleep 0.1; done
echo; echo "--- ready"
@READY@
echo; echo "--- alive"
@ALIVE@
echo; echo "--- smoke"
@SMOKE@
echo; echo "--- refused"
curl -sS -X POST http://127.0.0.1:8080/webhooks/providerX -H "X-Signature: 00" -d @tests/fixtures/providerX_event.json
echo; echo "--- metrics"
@METRICS@
echo "--- tail"
( @TAIL@ ) >tail & tail=$!
for _ in $(seq 300); do if grep -q accept tail && grep -q refuse tail; then break; fi; sleep 0.1; done
kill -INT $tail; wait $tail || true; cat tail
echo "--- check"
@CHECK@
echo "--- logs"
@LOGS@
echo "--- stop"
kill -TERM $service; wait $service; echo "status $?"
"""


def able() -> bool:
    return (
        shutil.which("unshare") is not None and subprocess.run(["unshare", "-rnm", "true"], check=False).returncode == 0
    )


def test_every_command_of_the_runbook_as_printed(tmp_path: Path) -> None:
    assert able(), "unshare is missing or not allowed: the printed ports cannot be had"
    body = FIXTURE.read_bytes().replace(b"\n", b"")  # as curl -d sends it
    signature = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    (tmp_path / "configuration").write_text(CONFIG)
    release = tmp_path / "target" / "release"
    release.mkdir(parents=True)
    (release / "svc-interop").symlink_to(BIN / "svc-interop")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    script = SCRIPT
    for name, text in (
        ("START", "exec env " + START.strip().removeprefix("\\")),
        ("READY", READY.partition("#")[0]),
        ("ALIVE", ALIVE),
        ("SMOKE", SMOKE.replace("<fixture>", signature)),
        ("METRICS", METRICS),
        ("TAIL", "exec " + TAIL),
        ("CHECK", CHECK),
        ("LOGS", LOGS),
    ):
        script = script.replace(f"@{name}@", text.strip())
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RCO_", "SVC_INTEROP_"))}
    environ |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PROVIDER_X_SECRET": SECRET}
    done = subprocess.run(
        ["unshare", "-rnm", "bash", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    trouble = done.stdout + done.stderr + (tmp_path / "err").read_text()
    assert done.returncode == 0, trouble
    told = dict(part.split("\n", 1) for part in done.stdout.split("--- ")[1:])
    assert json.loads(told["ready"]) == {"degraded": False, "missing": [], "retry_after": 0}
    assert json.loads(told["alive"]) == {"status": "alive"}
    accepted = json.loads(told["smoke"])
    assert accepted["accepted"] is True, trouble
    refused = json.loads(told["refused"])
    assert (refused["reason"], sorted(refused)) == ("UNAUTH", ["corr_id", "error", "reason"])
    assert 'svc_interop_requests_total{method="POST",route="/webhooks/{provider}",status="202"} 1.0' in told["metrics"]
    assert 'svc_interop_rejected_total{reason="UNAUTH"} 1.0' in told["metrics"]
    for name in ("latency_seconds_bucket", "audit_drop_total", "inflight"):
        assert f"svc_interop_{name}" in told["metrics"]
    assert f"interop.webhook.accepted.v1  accept  allow  providerX  {accepted['corr_id']}" in told["tail"]
    assert f"audit.event.v1  refuse  deny  providerX  sig_malformed  {refused['corr_id']}" in told["tail"]
    assert told["check"].startswith("/etc/ron/svc-interop.toml: ok")
    assert "/etc/ron/svc-interop.toml:3" in told["check"]
    fields = [line.split("\t") for line in told["logs"].splitlines() if refused["corr_id"] in line]
    assert fields[0][1:] == ["warning", "UNAUTH", "providerX", refused["corr_id"]]
    assert told["stop"].strip() == "status 0"
    assert SECRET not in done.stdout + (tmp_path / "log").read_text() + (tmp_path / "err").read_text()


class Running:
    """One ``svc-interop`` with a file and a mounted secret, on free ports."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "svc-interop.toml"
        self.bind, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.err = folder / "err"

    def start(self) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("RCO_", "SVC_INTEROP_"))}
        self.process = subprocess.Popen(
            [BIN / "svc-interop", "--config", self.config, "--bind-addr", self.bind, "--metrics-addr", self.metrics],
            cwd=self.folder,
            env=environ,
            stdout=(self.folder / "log").open("wb"),
            stderr=self.err.open("wb"),
        )
        self.until(lambda: self.get("/readyz")[0] == 200)

    def until(self, holds: Any) -> None:
        ends = time.monotonic() + GIVE_UP_S
        while not holds():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < ends, self.err.read_text()
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://{self.metrics}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def post(self, secret: bytes, number: int) -> int:
        body = b'{"type":"order.paid","n":%d}' % number
        at = str(int(time.time()))
        digest = hmac.new(secret, f"msg_{number}.{at}.".encode() + body, "sha256").digest()
        headers = {
            "content-type": "application/json",
            "webhook-id": f"msg_{number}",
            "webhook-timestamp": at,
            "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        }
        asked = urllib.request.Request(f"http://{self.bind}/webhooks/shop", body, headers)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(GIVE_UP_S)


def whsec(secret: bytes) -> str:
    return "whsec_" + base64.b64encode(secret).decode()


def written(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


OLD, NEW = b"o" * 32, b"n" * 32
SHOP = """
[limits]
max_rps = 5000
burst_rps = {burst}

[providers.shop]
kind = "standard-webhooks"
secrets = [{secrets}]
"""


def shop(folder: Path, *names: str, burst: int = 5000) -> str:
    secrets = ", ".join(f'{{ secret_id = "{name}", ref = "file:{folder / name}" }}' for name in names)
    return SHOP.format(secrets=secrets, burst=burst)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "old").write_text(whsec(OLD))
    (tmp_path / "new").write_text(whsec(NEW))
    one = Running(tmp_path)
    one.config.write_text(shop(tmp_path, "old"))
    one.start()
    yield one
    if one.process.poll() is None:
        one.process.kill()
        one.process.wait()


def test_secrets_are_rotated_without_a_request_refused(running: Running, tmp_path: Path) -> None:
    """Old alone, both, new alone: a sender with the old one and then with the new one never hears no."""
    stop = threading.Event()
    statuses: list[int] = []
    secret = [OLD]

    def sender() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            statuses.append(running.post(secret[0], number))

    thread = threading.Thread(target=sender)
    thread.start()
    try:
        running.until(lambda: len(statuses) > 5)
        assert running.post(NEW, 900_001) == 401
        written(running.config, shop(tmp_path, "old", "new"))
        running.until(lambda: b"secrets[1]" in running.err.read_bytes())
        running.until(lambda: running.post(NEW, 900_002) == 202)
        secret[0] = NEW
        before = len(statuses)
        running.until(lambda: len(statuses) > before + 3)
        written(running.config, shop(tmp_path, "new"))
        running.until(lambda: running.post(OLD, 900_003) == 401)
        before = len(statuses)
        running.until(lambda: len(statuses) > before + 3)
    finally:
        stop.set()
        thread.join()
    assert set(statuses) == {202}
    # A mounted secret that is replaced is enough; no setting changed.
    written(tmp_path / "new", whsec(OLD))
    running.until(lambda: running.post(OLD, 900_004) == 202)
    text = running.err.read_text() + (tmp_path / "log").read_text()
    assert whsec(OLD) not in text
    assert whsec(NEW) not in text
    assert running.stop() == 0


def test_row_37_a_broken_configuration_changes_nothing_and_is_recorded(running: Running, tmp_path: Path) -> None:
    good = shop(tmp_path, "old")
    for number, (broken, said) in enumerate(
        (
            (good.replace("[limits]", "[limits"), "not TOML"),
            (good.replace("max_rps = 5000", 'max_rps = "abc"'), "limits.max_rps"),
            (good.replace("max_rps = 5000", "max_rps = 0"), "limits.max_rps"),
            (shop(tmp_path, "gone"), "cannot be read"),
            (good[: len(good) // 2], ""),
        )
    ):
        before = running.err.read_text().count("not taken over")
        written(running.config, broken)
        running.process.send_signal(signal.SIGHUP)
        running.until(
            lambda before=before, said=said: running.err.read_text().count("not taken over") > before or not said
        )
        assert said in running.err.read_text()
        assert running.post(OLD, number) == 202
    metrics = running.get("/metrics")[1].decode()
    assert 'svc_interop_config_reloads_total{result="refused"}' in metrics
    token = (tmp_path / ".rco" / "admin.token").read_text().strip()
    asked = urllib.request.Request(f"http://{running.bind}/v1/tail?since=600&topic=svc-interop")
    asked.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        items = json.loads(answer.read())["items"]
    refused = [
        one["decision"]
        for one in items
        if one["decision"]["verb"] == "config" and not one["decision"].get("allow", True)
    ]
    assert len(refused) >= 3
    assert running.stop() == 0


def test_limits_are_lowered_while_it_runs(running: Running, tmp_path: Path) -> None:
    written(running.config, shop(tmp_path, "old", burst=1).replace("max_rps = 5000", "max_rps = 0.01"))
    running.until(lambda: b"limits.burst_rps: 5000 -> 1" in running.err.read_bytes())
    statuses = [running.post(OLD, number) for number in range(4)]
    assert statuses.count(429) >= 3
    assert running.stop() == 0
