"""Work in processes of their own that begin with everything loaded: a third of a second less for each of some sixty
rounds.

One process loads what questions need and does nothing else; each round is a copy of it. So a round has a heap, a loop,
threads and CPU time of its own, as if it had been started anew.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["Failed", "forked"]

_LOADED = ["bench.loaded"]


class Failed(Exception):
    """The text holds the last words of the process."""


def forked(work: Callable[..., bytes], arguments: tuple[Any, ...], said: Path, limit_s: float) -> bytes:
    """What ``work``, a function that can be imported, gives. What it prints is written to ``said``.

    Raises ``Failed``, and ``TimeoutError`` after ``limit_s``. The process is gone then, whatever came of it.
    """
    # For it and for all that it starts: where a name lies in a table is to be the same each time.
    os.environ["PYTHONHASHSEED"] = "0"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(theirs, said, work, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(limit_s):
            raise TimeoutError
        return ours.recv_bytes()
    except EOFError:
        process.join()
        words = said.read_text(errors="replace").strip()[-2000:] if said.exists() else ""
        raise Failed(words or f"it ended with {process.exitcode}") from None
    except BaseException:
        process.kill()
        raise
    finally:
        ours.close()
        process.join()


def _do(answers: Connection, said: Path, work: Callable[..., bytes], arguments: tuple[Any, ...]) -> None:
    words = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(words, stream)
    os.close(words)
    answers.send_bytes(work(*arguments))
