"""``python -m tests.guard`` counts the hot paths and writes the baseline of this interpreter."""

from __future__ import annotations

import sys

from tests.guard.baseline import VERSION, read, write
from tests.guard.paths import PATHS

if __name__ == "__main__":
    before, now = read().get(VERSION, {}), {name: round(path()) for name, path in PATHS.items()}
    for name, cost in now.items():
        was = before.get(name)
        sys.stdout.write(f"{name:16} {cost:8}" + (f"  {cost / was - 1:+.1%}\n" if was else "  new\n"))
    write(now)
