"""A signal in the catalogue that nothing feeds would be a promise that cannot be kept."""

from __future__ import annotations

import ast
from pathlib import Path

import rco
from rco.telemetry import signals
from rco.telemetry.signal import Signal


def test_every_signal_is_used_by_some_room() -> None:
    source = Path(rco.__file__).parent
    used: set[str] = set()
    for path in source.rglob("*.py"):
        if path.is_relative_to(source / "telemetry"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Name):
                used.add(node.id)
    known = {name for name, value in vars(signals).items() if isinstance(value, Signal)}
    assert known - used == set()
