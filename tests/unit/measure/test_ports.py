"""A port that one process was given is nobody else's, whether somebody listens on it or not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rco.measure import ports

ASK = """
import random, sys
from rco.measure import ports
given = [int(one) for one in sys.argv[1:]]
ports.random.randrange = lambda *_: given.pop(0)
print(ports.free_port(), flush=True)
sys.stdin.read()
"""


def ask(*in_turn: int) -> subprocess.Popen[str]:
    """A process that is offered these ports in turn, and keeps what it takes until it is let go."""
    return subprocess.Popen(
        [sys.executable, "-c", ASK, *map(str, in_turn)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_two_processes_are_never_given_the_same() -> None:
    first, second = ports.free_port(), ports.free_port()
    assert first != second
    other = ask(first, second, second + 1, second + 2, second + 3)
    taken = told(other)
    assert taken not in (first, second)
    third = ask(taken, second, taken + 7, taken + 8, taken + 9)
    assert told(third) not in (first, second, taken)
    for process in (other, third):
        process.communicate()


def test_what_a_process_had_is_free_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free_port()
    other = ask(port, *range(port + 1, port + 40))
    theirs = told(other)
    offered = [theirs, *range(theirs + 40, theirs + 80)]
    monkeypatch.setattr(ports.random, "randrange", lambda *_: offered.pop(0))
    assert ports.free_port() != theirs
    other.communicate()
    offered.insert(0, theirs)
    assert ports.free_port() == theirs
