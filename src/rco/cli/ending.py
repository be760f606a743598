"""How a command ends: its status, and whatever goes wrong as one line on standard error, with the cure."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable

from rco.cli.exits import Exit, exit_of
from rco.errors import RcoError

__all__ = ["failed", "one_line", "status_of", "told"]

_CURES = {
    errno.ENOENT: "Check the path: its folder must be there.",
    errno.ENOTDIR: "Check the path: a part of it is a file.",
    errno.EISDIR: "Name a file.",
    errno.EACCES: "Give this user the right to it, or choose another place.",
    errno.EPERM: "Give this user the right to it, or choose another place.",
    errno.EROFS: "Choose a place that can be written.",
    errno.ENOSPC: "Free some space, or choose another place.",
    errno.EDQUOT: "Free some space, or choose another place.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n).",
}


def status_of(work: Callable[[], object]) -> int:
    """Do ``work`` and return the status it gives. Raises nothing; ``RCO_DEBUG=1`` in the environment adds the
    traceback."""
    try:
        status = work()
        sys.stdout.flush()
        return int(status) if isinstance(status, int) else int(Exit.OK)
    except KeyboardInterrupt as error:
        return failed(error, "interrupted.", Exit.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output went away, as head does. Nothing more can be said, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return int(Exit.FAILED)
    except RcoError as error:
        return failed(error, told(error), exit_of(error))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        return failed(error, f"{one_line(what)}. {_CURES.get(error.errno or 0, '')}".rstrip(), Exit.FAILED)
    except Exception as error:  # noqa: BLE001 - the last door: a bug must not look like a traceback to a script
        return failed(error, f"internal error ({type(error).__name__}). Set RCO_DEBUG=1 to see where.", Exit.FAILED)


def told(error: RcoError) -> str:
    """What was wrong and the cure, in one line."""
    message = error.message.rstrip()
    if error.cure and not message.endswith((".", "!", "?")):
        message += "."
    return one_line(f"{message} {error.cure}")


def one_line(text: str) -> str:
    """``text`` as one line without control characters: what it quotes may come from anywhere."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def failed(error: BaseException, message: str, status: Exit) -> int:
    """Say ``message`` and give the status."""
    if os.environ.get("RCO_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
    sys.stderr.write(f"rco: {message}\n")
    return int(status)
