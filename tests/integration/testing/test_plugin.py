"""The plugin, as pytest loads it for a user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

APP = """
from rco.workflow import Context, workflow

async def note(word: str) -> str:
    return word

@workflow
async def order(ctx: Context, given: dict) -> str:
    await ctx.step(note, "one")
    return await ctx.step(note, "two")
"""
TEST = """
from app import order
from rco.testing import run_workflow

def test_it(rco_history):
    rco_history(run_workflow(order, {}), order)

def test_named(rco_history, rco_environment):
    env = rco_environment(order)
    env.start(order, {})
    rco_history(env, order, name="half way/there")
"""


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *more]
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_histories_are_recorded_and_replayed_and_say_what_changed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "test_app.py").write_text(TEST)
    done = run(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "is not recorded yet: pytest --rco-update 'test_app.py::test_it'" in done.stdout
    assert run(tmp_path, "--rco-update").returncode == 0
    files = sorted(path.name for path in (tmp_path / "histories" / "test_app").iterdir())
    assert files == ["half_way_there.jsonl", "test_it.jsonl"]
    assert run(tmp_path).returncode == 0
    (tmp_path / "app.py").write_text(APP.replace('"one"', '"first"'))
    done = run(tmp_path)
    assert done.returncode == 1
    assert "order does not fit the history in" in done.stdout
    assert "step 'note' is asked for with other arguments" in done.stdout


def test_loading_it_loads_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pytest'] = type(sys)('pytest'); sys.modules['pytest'].fixture = lambda f: f\n"
        "import rco.testing.plugin\n"
        "heavy = {'aiohttp', 'msgspec', 'jq', 'rco.engine', 'rco.workflow', 'asyncio'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_fixture_closes_what_it_made(rco_environment: Any) -> None:
    assert callable(rco_environment)
