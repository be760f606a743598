"""``rco`` with a clock that is wrong by ``SKEW_US``, as clocks of nodes are: run as a script with its arguments."""

from __future__ import annotations

import os
import time

from rco.cli import main
from rco.kit.clock import SystemClock

SKEW_US = int(os.environ["SKEW_US"])


def now_us(_: SystemClock) -> int:
    return time.time_ns() // 1000 + SKEW_US


if __name__ == "__main__":
    SystemClock.now_us = now_us  # type: ignore[method-assign]
    main()
