"""What settling does to the collector, and what it must leave as it is. In a process of its own: it is for good."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from rco.kit.memory import YOUNG, settle

class Node: pass

def cycle():
    one = Node()
    one.itself = one
    return weakref.ref(one)

before = cycle()
settle()
assert before() is None, "garbage was frozen"
assert gc.isenabled()
assert gc.get_freeze_count() > 0
assert gc.get_threshold()[0] == YOUNG
after = cycle()
kept = []
while after() is not None and len(kept) < 2 * YOUNG:
    kept.append([])
assert after() is None, "a cycle is never found"
settle()
print("held")
"""


def test_cycles_are_still_found_after_settling() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "held\n", done.stderr
