"""The plugin for pytest, there wherever RCO is installed: fixtures, and the option that records histories again.

Loaded at the start of every test run, so it imports nothing until a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rco.testing.environment import Environment
    from rco.testing.run import Run
    from rco.testing.seen import Ended

__all__ = ["pytest_addoption", "rco_environment", "rco_history"]

UPDATE = "--rco-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--rco-update``: write the histories that ``rco_history`` compares with."""
    parser.getgroup("rco").addoption(
        UPDATE, action="store_true", help="record the histories of rco_history again, instead of replaying them"
    )


@pytest.fixture
def rco_environment() -> Iterator[Callable[..., Environment]]:
    """Makes environments (see ``rco.testing.Environment``) and closes them when the test is over."""
    from rco.testing.environment import Environment

    made: list[Environment] = []

    def make(*workflows: Any, **options: Any) -> Environment:
        made.append(Environment(*workflows, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def rco_history(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Replays the history that was recorded of this test on the workflows of today: ``rco_history(run, workflow)``.

    ``run`` is what the test has just run (``Ended``, ``Run`` or an ``Environment``). With ``--rco-update`` it is
    recorded; without, what was recorded then is replayed on ``workflows``, and the test fails with the difference when
    an open run of then could not go on with this code. The file is ``histories/<test module>/<name>.jsonl`` beside the
    test; ``name`` is the test's own when none is given. Keep it under version control, as long as a run of that code
    may be open; for another shape of the run give another ``name``.
    """

    def check(run: Ended | Run | Environment, *workflows: Any, name: str | None = None) -> Path:
        from rco.testing.histories import check_history, history_of

        file = Path(request.path)
        path = file.parent / "histories" / file.stem / f"{_file_name(name or request.node.name)}.jsonl"
        if request.config.getoption(UPDATE):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(history_of(run))
        elif not path.exists():
            pytest.fail(f"{path} is not recorded yet: pytest {UPDATE} '{request.node.nodeid}'", pytrace=False)
        check_history(path, *workflows)
        return path

    return check


def _file_name(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in name)
