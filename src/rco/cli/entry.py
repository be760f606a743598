"""From arguments to an exit status."""

from __future__ import annotations

from collections.abc import Callable

from cyclopts import App, CycloptsError, UnusedCliTokensError

from rco.cli.ending import failed, one_line, status_of
from rco.cli.exits import Exit
from rco.cli.tree import make_app

__all__ = ["run"]


def run(arguments: list[str], make: Callable[[], App] = make_app, name: str = "rco") -> int:
    """Run one command of ``make``'s line and return its status. Raises nothing; ``RCO_DEBUG=1`` in the environment adds
    the traceback."""

    def work() -> object:
        try:
            return make()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        except UnusedCliTokensError as error:
            what = " ".join(map(repr, error.unused_tokens or ()))
            return failed(error, one_line(f"{what} means nothing here. See {name} --help."), Exit.USAGE)
        except CycloptsError as error:
            return failed(error, f"{one_line(str(error))} See {name} --help.", Exit.USAGE)

    return status_of(work)
