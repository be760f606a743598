"""What cannot be replayed is found before the first run, with its line and its cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from rco.errors import Misuse
from rco.workflow.application import load_application

HEAD = """
import asyncio, datetime, os, random, secrets, time, uuid
from datetime import datetime as moment
from random import choice
from time import time as wall
from rco.workflow import workflow

async def helper(ctx):
    return {helper}

def outside():
    return time.time()

async def step():
    return outside(), random.random()

@workflow
async def w(ctx, given):
    {body}
"""


def app(tmp_path: Path, body: str, helper: str = "1") -> str:
    path = tmp_path / "app.py"
    path.write_text(HEAD.format(body=body, helper=helper))
    return str(path)


@pytest.mark.parametrize(
    ("body", "what", "cure"),
    [
        ("return time.time()", "time.time", "ctx.now()"),
        ("return wall()", "time.time", "ctx.now()"),
        ("return time.monotonic()", "time.monotonic", "ctx.now()"),
        ("return datetime.datetime.now()", "datetime.now", "ctx.now()"),
        ("return moment.utcnow()", "datetime.utcnow", "ctx.now()"),
        ("return datetime.date.today()", "date.today", "ctx.now()"),
        ("time.sleep(1)", "time.sleep", "ctx.sleep"),
        ("await asyncio.sleep(1)", "asyncio.sleep", "ctx.sleep"),
        ("return random.random()", "random.random", "ctx.random()"),
        ("return random.randint(1, 2)", "random.randint", "ctx.random()"),
        ("return choice([1])", "random.choice", "ctx.random()"),
        ("return uuid.uuid4()", "uuid.uuid4", "ctx.uuid()"),
        ("return secrets.token_hex()", "secrets.token_hex", "ctx.random()"),
        ("return os.urandom(1)", "urandom", "ctx.random()"),
        ("asyncio.create_task(step())", "asyncio.create_task", "ctx.gather"),
        ("await asyncio.gather(step())", "asyncio.gather", "ctx.gather"),
        ("f = lambda: time.time(); return f()", "time.time", "ctx.now()"),
        ("return [time.time() for _ in range(2)]", "time.time", "ctx.now()"),
        ("await helper(ctx)", "time.time", "ctx.now()"),
    ],
)
def test_found(tmp_path: Path, body: str, what: str, cure: str) -> None:
    with pytest.raises(Misuse) as caught:
        load_application(app(tmp_path, body, helper="time.time()"))
    assert what in str(caught.value)
    assert cure in str(caught.value)
    assert "app.py:" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        "return await ctx.step(step)",
        "await ctx.step(time.sleep_is_not_this if False else step)",
        "return ctx.now(), ctx.random(), ctx.uuid()",
        "return datetime.timedelta(1), moment(2026, 1, 1), uuid.UUID(int=1), time.struct_time",
        "await helper(ctx)",
    ],
)
def test_allowed(tmp_path: Path, body: str) -> None:
    assert load_application(app(tmp_path, body)).workflows
