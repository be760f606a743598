"""What is in effect and where it came from, and what a new snapshot changes. Nothing secret is shown by either."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from rco.config.bind import REFERENCE, SECRET_FIELDS, file_key
from rco.config.load import Loaded
from rco.config.settings import Settings
from rco.store.address import without_password

__all__ = ["MASK", "Change", "Explained", "diff", "explain"]

MASK = "***"
_PAYLOADS = frozenset({"body"})


class Explained(msgspec.Struct, frozen=True):
    """One setting in effect. ``origin`` is ``FILE:LINE``, a variable, a flag or ``default``."""

    key: str
    value: Any
    origin: str


class Change(msgspec.Struct, frozen=True):
    """One key that differs; ``None`` is absence."""

    key: str
    before: Any
    after: Any


def explain(loaded: Loaded) -> list[Explained]:
    """Every setting by key, masked: references show the place of a secret, fixed answers show only that they exist."""
    return [
        Explained(key, value, _origin(key, loaded.origins)) for key, value in sorted(_leaves(loaded.settings).items())
    ]


def diff(before: Settings, after: Settings) -> list[Change]:
    """The keys whose values differ, masked as in ``explain``. A masked value that changed is listed all the same."""
    old, new = _leaves(before), _leaves(after)
    old_raw, new_raw = _leaves(before, masked=False), _leaves(after, masked=False)
    return [
        Change(key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old_raw.get(key) != new_raw.get(key) and not _only_empty(key, old_raw, new_raw)
    ]


def _only_empty(key: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    # An empty list has a line of its own in the listing; what came or went is said by the lines of its items.
    return (key in old) != (key in new) and old.get(key, new.get(key)) == []


def _origin(key: str, origins: dict[str, str]) -> str:
    while key:
        if key in origins:
            return origins[key]
        key = key.rpartition(".")[0]
    return "default"


def _leaves(settings: Settings, *, masked: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _walk(settings, "", "", found, masked)
    return found


def _walk(value: Any, key: str, field: str, found: dict[str, Any], masked: bool) -> None:
    if field in _PAYLOADS:
        found[key] = (MASK if value is not None else None) if masked else value
    elif isinstance(value, msgspec.Struct):
        for info in msgspec.structs.fields(value):
            if info.name == "name" and key.startswith(("targets.", "providers.")):
                continue
            inner = f"{key}.{file_key(info.name)}" if key else file_key(info.name)
            _walk(getattr(value, info.name), inner, info.name, found, masked)
    elif isinstance(value, dict):
        for name, item in value.items():
            _walk(item, f"{key}.{name}", name, found, masked)
    elif isinstance(value, (list, tuple)) and any(isinstance(item, msgspec.Struct) for item in value):
        for index, item in enumerate(value):
            _walk(item, f"{key}[{index}]", field, found, masked)
    else:
        found[key] = _shown(value, field) if masked else value


def _shown(value: Any, field: str) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str) and "://" in value:
        value = without_password(value)
    if field in SECRET_FIELDS:
        texts = value if isinstance(value, (list, tuple)) else [value]
        shown = [text if isinstance(text, str) and REFERENCE.fullmatch(text) else MASK for text in texts]
        return shown if isinstance(value, (list, tuple)) else shown[0]
    return list(value) if isinstance(value, tuple) else value
