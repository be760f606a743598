"""PostgreSQL's own benchmark: one row of 200 bytes, one commit each, with 1 and with 64 clients and nothing of ours."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

from bench.figure import Asked, Measured
from bench.question import Question, Round

__all__ = ["QUESTION"]

_CLIENTS = {1: 2_500, 64: 200}
"""Transactions of each."""
_SCRIPT = "INSERT INTO pgbench_row (data) VALUES (repeat('x', 200));\n"
_TPS = re.compile(rb"^tps = ([0-9.]+)", re.MULTILINE)


def _program() -> str | None:
    """Where it is: on the path, or with the server's own programs, which Debian keeps off it."""
    return shutil.which("pgbench") or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), reverse=True)), None
    )


async def _ask(round: Round) -> list[Measured]:
    program = _program()
    if program is None:
        # Not every package of PostgreSQL brings it: then there is one limit less.
        return []
    script = round.folder / "insert.sql"
    script.write_text(_SCRIPT)
    measured = []
    async with round.place() as place:
        await _run("psql", "-q", "-c", "CREATE TABLE pgbench_row (n bigserial PRIMARY KEY, data text)", place.where)
        for clients, full in _CLIENTS.items():
            each = round.count(full, least=2)
            said = await _run(
                *(program, "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-t", str(each)),
                *("-f", str(script), place.where),
            )
            found = _TPS.search(said)
            assert found is not None, said
            settings = {**place.facts, "clients": clients, "transactions_each": each}
            measured.append(Measured(name=f"pgbench-{clients}", value=float(found[1]), settings=settings))
    return measured


async def _run(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out


QUESTION = Question(
    asked=tuple(
        Asked(
            name=f"pgbench-{clients}",
            text=f"raw: pgbench, one row a commit, {clients} client{'s' if clients > 1 else ''}",
            unit="/s",
        )
        for clients in _CLIENTS
    ),
    ask=_ask,
    raw=True,
    stores=("postgresql",),
    rounds_max=2,
)
