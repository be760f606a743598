"""What a type checker makes of a step: the value that its function gives, awaited for or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = """
from rco.workflow import Context, workflow

async def later(number: int) -> dict[str, int]:
    return {"number": number}

def now(number: int) -> str:
    return str(number)

@workflow
async def both(ctx: Context, number: int) -> str:
    await ctx.step(later, number)
    awaited = await ctx.step(later, number)
    reveal_type(awaited)
    plain = await ctx.step(now, number, timeout_s=2.0)
    reveal_type(plain)
    return plain
"""


def test_the_value_of_a_step_has_the_type_of_what_its_function_gives(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(SOURCE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache"), str(file)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert 'Revealed type is "dict[str, int]"' in done.stdout
    assert 'Revealed type is "str"' in done.stdout
