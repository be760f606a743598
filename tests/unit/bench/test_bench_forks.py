"""Each round has a process of its own, begun with everything loaded, and its end is told whatever it was."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from bench.forks import Failed, forked


def facts() -> bytes:
    loaded = "rco.measure.rig" in sys.modules and "uvloop" in sys.modules
    return f"{os.getpid()} {loaded} {os.environ['PYTHONHASHSEED']} {hash('a')} {time.process_time() < 1.0}".encode()


def shout() -> bytes:
    sys.stdout.write("half a word\n")
    raise ValueError("what was wrong")


def vanish() -> bytes:
    os._exit(3)


def linger(note: str) -> bytes:
    Path(note).write_text(str(os.getpid()))
    time.sleep(60)
    return b""


def test_each_begins_anew_and_loaded(tmp_path: Path) -> None:
    one, other = (forked(facts, (), tmp_path / "said", 60).split() for _ in range(2))
    assert one[0] != other[0]
    assert one[1:] == other[1:]
    assert (one[1], one[2], one[4]) == (b"True", b"0", b"True")


def test_what_went_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="what was wrong"):
        forked(shout, (), tmp_path / "said", 60)
    with pytest.raises(Failed, match="ended with 3"):
        forked(vanish, (), tmp_path / "other", 60)


def test_who_takes_too_long_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(TimeoutError):
        forked(linger, (str(note),), tmp_path / "said", 3.0)
    if note.exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int(note.read_text()), 0)
