"""The code in a page of documentation, and how it is run.

A fence says what its code is for by the words after the language::

    ```python title=app.py     written to app.py
    ```yaml title=rco.yaml     written to rco.yaml
    ```sh                      run by bash, in the order of the page, in one folder; must succeed
    ```sh service              started and left running until the end of the page; the next block waits until it answers
    ```sh checkout             for a checkout of the repository; only make targets, which must exist
    ```text output             every line stands in what the block before it printed; ``…`` stands for anything

Anything else is a mistake, so that no code in a page goes unrun.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rco.measure.ports import free_port

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 45
USUAL = {"127.0.0.1:8080": "RCO_SERVER_BIND_ADDR", "127.0.0.1:9909": "RCO_SERVER_METRICS_ADDR"}
"""Addresses that pages name. The tests take free ports instead."""

_FENCE = re.compile(r"^```(?P<words>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block. ``line`` is that of its first line of code."""

    language: str
    words: tuple[str, ...]
    code: str
    line: int

    @property
    def title(self) -> str:
        return next((word.removeprefix("title=") for word in self.words if word.startswith("title=")), "")


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for match in _FENCE.finditer(text):
        language, *words = match["words"].split() or [""]
        yield Block(language, tuple(words), match["code"], text.count("\n", 0, match.start()) + 2)


class Reader:
    """Somebody who does what a page says, in ``folder``."""

    def __init__(self, folder: Path, environ: dict[str, str] | None = None) -> None:
        """``environ``: what the page takes as given beside what every shell has."""
        self.folder = folder
        self._printed = ""
        self._services: list[subprocess.Popen[bytes]] = []
        self._ports = {usual: f"127.0.0.1:{free_port()}" for usual in USUAL}
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("RCO_")}
        self._environ |= environ or {}
        self._environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environ |= {variable: self._ports[usual] for usual, variable in USUAL.items()}

    def do(self, block: Block) -> None:
        """Do what one block says. Raises ``AssertionError`` when it does not work."""
        code = block.code
        for usual, free in self._ports.items():
            code = code.replace(usual, free)
        match block.language, block.title, block.words:
            case _, title, _ if title:
                path = self.folder / title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(code)
            case "sh", _, ("checkout",):
                self._check_targets(code)
            case "sh", _, ("service",):
                self._serve(code)
            case "sh", _, ():
                self._run(code)
            case "text", _, ("output",):
                self._compare(code)
            case _:
                raise AssertionError(f"line {block.line}: nobody knows how to run ```{block.language} {block.words}")

    def _run(self, code: str) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self._printed = done.stdout + done.stderr
        logs = "".join(path.read_text()[-3000:] for path in self.folder.glob("service-*.log"))
        assert done.returncode == 0, f"{code}\nexit status {done.returncode}\n{self._printed}\n{logs}"

    def _serve(self, code: str) -> None:
        log = self.folder / f"service-{len(self._services)}.log"
        with log.open("wb") as out:
            self._services.append(
                subprocess.Popen(
                    ["bash", "-euo", "pipefail", "-c", code],
                    cwd=self.folder,
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        if "rco " not in code:
            return
        deadline = time.monotonic() + READY_WITHIN_S
        place = self._ports["127.0.0.1:8080"]
        while not any(_answers(f"{scheme}://{place}/readyz") for scheme in ("http", "https")):
            if self._services[-1].poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{code} did not become ready:\n{log.read_text()}")
            time.sleep(0.05)

    def _compare(self, wanted: str) -> None:
        printed = [" ".join(line.split()) for line in self._printed.splitlines()]
        for line in wanted.splitlines():
            pattern = ".*".join(re.escape(part) for part in " ".join(line.split()).split("…"))
            assert any(re.fullmatch(pattern, one) for one in printed), f"{line!r} was not printed:\n{self._printed}"

    def _check_targets(self, code: str) -> None:
        for line in filter(None, (line.partition("#")[0].strip() for line in code.splitlines())):
            words = line.split()
            if words[0] in ("git", "cd"):
                continue
            assert words[0] == "make", f"{line!r}: only make is for a checkout"
            command = ["make", "--dry-run", "--always-make", "--no-print-directory", *words[1:]]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Stop what was started."""
        for service in reversed(self._services):
            if service.poll() is None:
                os.killpg(service.pid, signal.SIGTERM)
                try:
                    service.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    os.killpg(service.pid, signal.SIGKILL)
                    service.wait()


def _answers(url: str) -> bool:
    try:
        # Whether it answers, not who: the certificates of pages are their own.
        with urllib.request.urlopen(url, timeout=2, context=ssl._create_unverified_context()) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False
