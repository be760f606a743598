"""What peers use is counted whole, and what they start is ended."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from bench.peers.processes import end, spawn, tree, tree_cpu_s, until

BURN = "import time\nwhile time.process_time() < 0.4: pass\n"


def test_what_has_ended_below_is_counted() -> None:
    own = tree_cpu_s([os.getpid()])
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert tree_cpu_s([os.getpid()]) - own >= 0.3


async def test_a_process_that_ends_while_it_is_waited_for_is_an_error(tmp_path: Path) -> None:
    child = spawn([sys.executable, "-c", "raise SystemExit(7)"], log=tmp_path / "log")
    with pytest.raises(ChildProcessError, match="the server: the process ended with 7"):
        await until(lambda: False, "the server", process=child)


async def test_waiting_has_an_end() -> None:
    with pytest.raises(TimeoutError, match="the moon: not within 0 s"):
        await until(lambda: False, "the moon", limit_s=0)


def test_a_group_is_ended_with_all_in_it_and_twice_does_nothing(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    parent = f"""
import pathlib, subprocess
child = subprocess.Popen(["sleep", "60"])
pathlib.Path({str(ready)!r}).touch()
child.wait()
"""
    child = spawn([sys.executable, "-c", parent], log=tmp_path / "log")
    while not ready.exists():
        assert child.poll() is None
    below = tree([child.pid]) - {child.pid}
    assert below
    ends = [os.pidfd_open(pid) for pid in below]
    end(child)
    end(child)
    assert not tree([child.pid])
    for ended in ends:
        # A signal is sent, not yet heard, when the one who sends it goes on; the end of a process is told here.
        select.select([ended], [], [])
        os.close(ended)
