"""What takes long to load and is not needed to be ready is not loaded by a start."""

from __future__ import annotations

import subprocess
import sys

LATER = (
    "aiohttp",
    "asyncpg",
    "cryptography.x509",
    "cyclopts",
    "litestar",
    "prometheus_client",
    "rco.client",
    "rco.store.sqlite",
    "strawberry",
)


def test_the_wiring_loads_nothing_that_can_wait() -> None:
    code = f"import sys, rco.cli.serve; print([name for name in {LATER!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
