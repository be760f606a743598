"""The guard: refuses sockets, processes and files while workflow code is on the stack.

An audit hook (PEP 578) costs a call for each audited action of the interpreter and cannot be removed, so it is
installed once, by the service.
"""

from __future__ import annotations

import sys
from typing import Any

from rco.engine.machine import running
from rco.errors import Misuse

__all__ = ["install_guard"]

_REFUSED = {
    "socket.__new__": "a socket",
    "socket.connect": "a socket",
    "socket.getaddrinfo": "a name look-up",
    "socket.gethostbyname": "a name look-up",
    "subprocess.Popen": "a process",
    "os.system": "a process",
    "os.posix_spawn": "a process",
    "os.fork": "a process",
    "sqlite3.connect": "a database",
    "time.sleep": "time.sleep",
}
_installed = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    what = _REFUSED.get(event)
    if what is None and event == "open" and running() is not None:
        what = _opened(arguments)
    if what is not None and running() is not None:
        raise Misuse(
            f"workflow code used {what}, which cannot be replayed.",
            cure="Put it into a step: await ctx.step(fn, ...), or call a target: await ctx.call(...).",
        )


def _opened(arguments: tuple[Any, ...]) -> str | None:
    path = str(arguments[0])
    # Imports read their own files; that is as repeatable as the code itself.
    return None if path.endswith((".py", ".pyc", ".so")) or "__pycache__" in path else f"the file {path}"


def install_guard() -> None:
    """Install the guard in this interpreter. A second call has no effect."""
    global _installed  # noqa: PLW0603 - the interpreter keeps hooks for ever
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)
