"""What processes have used: children that live, children that ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rco.measure.usage import percentile, tree, tree_cpu_s, tree_written_bytes

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
PARENT = (
    "import subprocess, sys\n"
    f"burn = {BURN!r}\n"
    "subprocess.run([sys.executable, '-c', burn])\n"
    "child = subprocess.Popen([sys.executable, '-c', burn + 'print(1, flush=True); input()'],"
    " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
    "child.stdout.readline()\n"
    "print('ready', flush=True)\n"
    "input()\n"
)


def test_a_tree_counts_children_that_live_and_those_that_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert len(tree(parent.pid)) == 2
        assert tree_cpu_s(parent.pid) >= 0.55
        parent.communicate(b"\n")


def test_bytes_that_are_written_are_counted(tmp_path: Path) -> None:
    before = tree_written_bytes(os.getpid())
    with (tmp_path / "some").open("wb") as out:
        out.write(b"x" * 1_000_000)
    # Not whole folios of the page cache: those came to a hundred times what was written.
    assert 1_000_000 <= tree_written_bytes(os.getpid()) - before < 2_000_000


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([3.0], 99) == 3
    assert percentile([2.0, 1.0], 50) == 1
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)
