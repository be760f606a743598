"""Certificates by file: ``config check`` says what is wrong with them, ``svc-interop`` takes renewed ones by itself."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.integration.cli.test_svc_interop import BIN, GIVE_UP_S, free_port
from tests.servers.certificates import Authority

TOML = """
bind_addr = "127.0.0.1:{port}"
metrics_addr = "127.0.0.1:0"

[tls]
enabled = true
certificate = "file:{folder}/server.pem"
private_key = "file:{folder}/server.key"
"""
YAML = """
server: {{bind_addr: "127.0.0.1:0"}}
tls:
  enabled: true
  certificate: file:{folder}/server.pem
  private_key: file:{folder}/server.key
"""


def check(path: Path) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "rco", "config", "check", str(path), "--json"], capture_output=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(("name", "text", "lines"), [("rco.yaml", YAML, (5, 6)), ("svc.toml", TOML, (7, 8))])
def test_config_check_says_what_is_wrong_at_its_line(
    tmp_path: Path, name: str, text: str, lines: tuple[int, int]
) -> None:
    path, authority = tmp_path / name, Authority()
    path.write_text(text.format(folder=tmp_path, port=8443))
    authority.issue().write(tmp_path)
    status, told = check(path)
    assert (status, told["ok"]) == (0, True)
    for spoil, line, key, said in (
        (lambda: authority.issue(days=-1).write(tmp_path), lines[0], "tls.certificate", "expired on "),
        (lambda: (tmp_path / "server.pem").write_bytes(b""), lines[0], "tls.certificate", "empty or absent"),
        (lambda: authority.issue().write(tmp_path, mode=0o644), lines[1], "tls.private_key", "has mode 0644"),
        (
            lambda: (authority.issue().write(tmp_path), (tmp_path / "server.pem").write_bytes(authority.issue().pem)),
            lines[1],
            "tls.private_key",
            "is not the key of the certificate",
        ),
        ((tmp_path / "server.key").unlink, lines[1], "tls.private_key", "cannot be read"),
    ):
        spoil()
        status, told = check(path)
        [problem] = told["problems"]
        assert (status, problem["line"], problem["key"]) == (2, line, key)
        assert said in problem["message"]
        assert problem["cure"]
        assert problem["file"] == str(path)


def test_svc_interop_serves_tls_and_takes_a_renewed_certificate_by_itself(tmp_path: Path) -> None:
    authority, port = Authority(), free_port()
    root, first = authority.write(tmp_path), authority.issue()
    first.write(tmp_path)
    (tmp_path / "svc.toml").write_text(TOML.format(folder=tmp_path, port=port))

    def shown() -> str:
        try:
            return ssl.get_server_certificate(("127.0.0.1", port), ca_certs=str(root), timeout=5)
        except OSError:
            return ""

    err = tmp_path / "err"
    with err.open("wb") as said:
        process = subprocess.Popen(
            [BIN / "svc-interop", "--config", tmp_path / "svc.toml"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
    try:
        for issued in (first, authority.issue(), authority.issue()):
            issued.write(tmp_path)
            wanted = issued.certificate.public_bytes(Encoding.PEM).decode()
            ends = time.monotonic() + GIVE_UP_S
            while shown() != wanted:
                assert process.poll() is None, err.read_text()
                assert time.monotonic() < ends, err.read_text()
                time.sleep(0.05)
        assert f"serving https://127.0.0.1:{port}" in err.read_text()
    finally:
        process.terminate()
        assert process.wait(GIVE_UP_S) == 0
