"""A server that speaks S3's protocol over HTTP: moto's, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from typing import Self

from rco.measure.ports import free_port

__all__ = ["S3Server"]

_START_S = 60.0


class S3Server:
    """Use it as ``with S3Server() as s3``. ``bucket`` is there; ``stop`` and ``go_on`` let it be away."""

    bucket = "rco-tests"

    def __init__(self) -> None:
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends = time.monotonic() + _START_S
        while True:
            try:
                make = urllib.request.Request(f"{self.endpoint}/{self.bucket}", method="PUT")
                with urllib.request.urlopen(make, timeout=10):
                    return self
            except OSError:
                if time.monotonic() > ends or self._process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
