"""The guard: refuses sockets, processes and files while workflow code is on the stack.

An audit hook (PEP 578) costs a call for each audited action of the interpreter and cannot be removed, so it is
installed once, by the service.
"""

from __future__ import annotations

import sys
import threading
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
_thread = 0
"""The thread that runs workflow code. What other threads do meanwhile (the store opens its files) is their affair."""


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    what = _REFUSED.get(event)
    if what is None and event == "open" and running() is not None:
        what = _opened(arguments)
    if what is not None and running() is not None and threading.get_ident() == _thread:
        raise Misuse(
            f"workflow code used {what}, which cannot be replayed.",
            cure="Put it into a step: await ctx.step(fn, ...), or call a target: await ctx.call(...).",
        )


def _opened(arguments: tuple[Any, ...]) -> str | None:
    path = str(arguments[0])
    # Imports read their own files; that is as repeatable as the code itself.
    return None if path.endswith((".py", ".pyc", ".so")) or "__pycache__" in path else f"the file {path}"


def install_guard() -> None:
    """Guard the workflow code of the calling thread. The hook is installed once; a second call only moves it here."""
    global _installed, _thread  # noqa: PLW0603 - the interpreter keeps hooks for ever
    _thread = threading.get_ident()
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)
