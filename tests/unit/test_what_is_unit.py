"""What stands here is asked before every commit, in seconds: nothing here starts a service or a server."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

UNITS = Path(__file__).parent
FOREIGN = ("rco.app", "rco.assembly", "rco.server.serving", "tests.servers.postgres", "tests.integration", "asyncpg")
"""Who imports these starts what belongs into tests/integration."""
FIXTURES = frozenset(("postgres_server", "postgres_database", "postgres_dsn"))


def foreign(text: str) -> set[str]:
    """What a test module reaches for that no unit test does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found.update(one.name for one in names)
            case ast.ImportFrom(module=str(module), names=names):
                found.update((module, *(f"{module}.{one.name}" for one in names)))
            case ast.arg(arg=name) if name in FIXTURES:
                found.add(name)
    return {name for name in found if name in FIXTURES or any(f"{name}.".startswith(f"{one}.") for one in FOREIGN)}


def test_nothing_here_starts_a_service() -> None:
    found = {str(path.relative_to(UNITS)): foreign(path.read_text()) for path in UNITS.rglob("*.py")}
    misplaced = {path: names for path, names in found.items() if names}
    assert not misplaced, "move it to tests/integration: make check takes less than a minute"
    assert len(found) > 100


@pytest.mark.parametrize(
    "text",
    [
        "from rco.app import Service",
        "def test(x):\n    from rco import app",
        "import rco.app",
        "async def test(postgres_dsn): ...",
        "from tests.integration.api.conftest import serving",
    ],
)
def test_what_does_is_found(text: str) -> None:
    assert foreign(text)
    assert not foreign("from rco.application import x\nfrom rco.server.api.app import document\nimport rco")
