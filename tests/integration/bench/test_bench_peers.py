"""Peers are really asked, at a tiny size: ours always, another only where its environment is there already. Nothing is
fetched, and no figure is judged. Each test runs the bench as a process of its own, because it ends all that is left
below it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.peers.environments import present

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".bench"
SCALE = "0.01"


def ask(tmp_path: Path, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Every figure, by peer and question."""
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "bench.peers", "--rounds", "1", "--scale", SCALE, "--out", str(out)]
    command += ["--folder", str(tmp_path), "--cache", str(CACHE), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("peers-*")) == [], "a folder was left behind"
    return {(one["peer"], one["question"]): one for one in json.loads(out.read_bytes())["figures"]}


def test_ours_answer_every_question_on_both_stores(tmp_path: Path) -> None:
    found = ask(tmp_path, "--peers", "ours")
    assert {peer for peer, _ in found} == {"rco-sqlite", "rco-postgres"}
    assert len(found) == 14
    for key, one in found.items():
        assert one["value"] is not None, (key, one["missing"])
        assert one["value"] > 0 or key[1] in ("cpu", "timers"), key
        assert one["settings"]["evidence"] == "on"


@pytest.mark.skipif(not present(CACHE, "dbos"), reason="DBOS is not installed here: make bench-peers does it")
def test_a_peer_answers_what_it_is_asked(tmp_path: Path) -> None:
    found = ask(tmp_path, "--peers", "dbos-sqlite", "--questions", "steps-100,one-step,recovery")
    for question in ("steps-100", "cpu", "one-step", "recovery"):
        one = found["dbos-sqlite", question]
        assert one["value"], one["missing"]
        assert one["versions"]["dbos"]


BROKEN = """
import json, os, subprocess, sys
from pathlib import Path
from bench.peers.contract import Peer, Unavailable
from bench.peers.running import adopt_orphans, measure

def here(_): return str(Path(sys.executable).parent), {}
def nowhere(_): raise Unavailable("there is none for this machine")
def peer(name, prepare): return Peer(
    name=name, text=name, kind="durable", durability="-", installed="-", prepare=prepare, packages=())

adopt_orphans()
bystander = subprocess.Popen(["sleep", "60"])
run = measure(
    [("nobody", peer("broken", here)), ("dbos", peer("absent", nowhere))],
    ["one-step"], rounds=3, limit_s=0, scale=0.01, cache=Path("none"), folder=Path(sys.argv[1]), tell=lambda _: None)
print(json.dumps([[(one.peer, one.value, one.failed) for one in run.answers], run.unavailable, bystander.wait()]))
"""


def test_a_peer_that_breaks_says_so_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [(name, value, failed)], unavailable, status = json.loads(done.stdout)
    assert (name, value) == ("broken", None)
    assert "No module named 'bench.peers.nobody'" in failed
    assert unavailable == {"absent": "there is none for this machine"}
    assert status != 0, "what was left below the bench still ran"
