"""Exit statuses: what a script may rely on. This is the one place where they are defined."""

from __future__ import annotations

from enum import IntEnum

from rco.errors import (
    ConfigInvalid,
    Conflict,
    EvidenceBroken,
    Forbidden,
    NotFound,
    Overloaded,
    Refused,
    StoreLocked,
    Unreachable,
)

__all__ = ["MEANING", "Exit", "exit_of"]


class Exit(IntEnum):
    """The status of a finished command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    BROKEN = 6
    INTERRUPTED = 130


MEANING: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.FAILED: "it did not work, or the run that was waited for did not complete",
    Exit.USAGE: "the command line, an input or the configuration is wrong",
    Exit.NOT_FOUND: "there is no such run, event, letter or file",
    Exit.REFUSED: "refused: no access, a conflict with what is recorded, overload, or a database in use",
    Exit.UNREACHABLE: "the service cannot be reached",
    Exit.BROKEN: "evidence does not verify, or a promise was broken",
    Exit.INTERRUPTED: "interrupted from the keyboard",
}


def exit_of(error: BaseException) -> Exit:
    """The status that ``error`` ends a command with."""
    match error:
        case ConfigInvalid():
            return Exit.USAGE
        case NotFound():
            return Exit.NOT_FOUND
        case Refused() if error.status == 400:
            return Exit.USAGE
        case Conflict() | Forbidden() | Refused() | Overloaded() | StoreLocked():
            return Exit.REFUSED
        case Unreachable():
            return Exit.UNREACHABLE
        case EvidenceBroken():
            return Exit.BROKEN
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case _:
            return Exit.FAILED
