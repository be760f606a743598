"""``python -m bench.peers.child MODULE ROLE PLACE ...`` in the environment of a peer.

``load`` and ``recovery`` ask; each answer, or what went wrong, is one line of ``answers`` in the folder of the round,
written as soon as it is there. ``begin`` and ``resume`` are the process that gets killed and the one that takes over.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.peers.asking import SUITES, ask, recovery, webhooks
from bench.peers.contract import Counts, Engine, Place

__all__ = ["main"]


async def _answer(module: Any, name: str, role: str, place: Place, counts: Counts, questions: list[str]) -> None:
    def say(line: dict[str, Any]) -> None:
        with (Path(place.folder) / "answers").open("a") as out:
            out.write(json.dumps(line) + "\n")

    peer = next(peer for peer in module.PEERS if peer.name == place.peer)
    say({"versions": {package: version(package) for package in peer.packages}})
    engine: Engine = module.engine(place)
    if role != "load":
        try:
            found = webhooks(engine, counts) if role == "webhooks" else recovery(engine, counts, name)
            say(asdict(await found))
        except Exception as problem:  # noqa: BLE001 - whatever it was, the table says it
            say({"question": role, "failed": _words(problem)})
        return
    try:
        await engine.start()
    except Exception as problem:  # noqa: BLE001
        for question in questions:
            say({"question": question, "failed": f"did not start: {_words(problem)}"})
        await engine.stop()
        return
    try:
        for question in SUITES["load"]:
            if question in questions:
                try:
                    say(asdict(await ask(engine, question, counts)))
                except Exception as problem:  # noqa: BLE001
                    say({"question": question, "failed": _words(problem)})
    finally:
        await engine.stop()


def _words(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}".strip()[:500]


async def _work(module: Any, role: str, place: Place, runs: int) -> None:
    engine: Engine = module.engine(place)
    await engine.start()
    if role == "begin":
        await engine.begin(runs)
        (Path(place.folder) / "begun").touch()
    await asyncio.Event().wait()


def main(name: str, role: str, place: str, *more: str) -> None:
    module = import_module(f"bench.peers.{name}")
    where = Place(**json.loads(place))
    if role in ("begin", "resume"):
        work = _work(module, role, where, int(more[0]))
    else:
        work = _answer(module, name, role, where, Counts(**json.loads(more[0])), json.loads(more[1]))
    # The same loop for every peer: the one that the ones written for speed ask for.
    import uvloop

    uvloop.run(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
