"""What carries a payload to the store says whose it is: else it would be encrypted for somebody else, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[3] / "src/rco"
_PLACES = {"Draft": 2, "Moved": 4, "Ended": 4, "Message": 6}
"""At which place among the arguments the namespace stands."""
_NO_PAYLOAD = {
    "store": "readers, whose rows belong to a run that is known",
    "testing": "a simulation has one namespace",
    "queues": "BEGIN says nothing",
}


def made() -> Iterator[tuple[str, ast.Call, str]]:
    for path in sorted(SRC.rglob("*.py")):
        room = path.relative_to(SRC).parts[0]
        if room in _NO_PAYLOAD:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _PLACES:
                yield f"{path.relative_to(SRC)}:{node.lineno}", node, node.func.id


def test_each_of_them_names_it() -> None:
    seen = 0
    for where, call, name in made():
        seen += 1
        if name == "Moved" and len(call.args) < 4 and not any(one.arg == "detail" for one in call.keywords):
            continue
        named = len(call.args) > _PLACES[name] or any(one.arg == "namespace" for one in call.keywords)
        assert named, f"{where}: {name}(...) has a payload and says no namespace"
    assert seen > 15
