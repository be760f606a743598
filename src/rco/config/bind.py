"""From a tree with lines to frozen structs: strict, complete, and with every problem at its place.

The shape is read off the structs themselves, so a setting is declared once. A field's unit is its last word in the
struct and its suffix in the file: ``timeout_s`` reads ``timeout: 5s``, ``body_limit_bytes`` reads ``body_limit: 1MiB``.
"""

from __future__ import annotations

import difflib
import math
import re
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from rco.bridge.contract import ProviderSettings
from rco.config.source import Node
from rco.errors import ConfigInvalid
from rco.kit.units import parse_duration_s, parse_size_bytes

__all__ = ["NAME", "REFERENCE", "SECRET_FIELDS", "Binder", "field_kinds", "file_key"]

SECRET_FIELDS = frozenset(
    {"dsn", "access_key_id", "secret_access_key", "secret", "secrets", "ref", "token", "password", "private_key"}
)
REFERENCE = re.compile(r"env:[A-Z_][A-Z0-9_]{0,127}|file:/[^\0\n]{1,1000}")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_KINDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}


def file_key(field: str) -> str:
    """The name of a struct's field as it is written in the file."""
    if field.endswith("_per_s"):
        return field
    for unit in ("_s", "_bytes"):
        if field.endswith(unit):
            return field.removesuffix(unit)
        if field.endswith(f"{unit}_max"):
            return field.removesuffix(f"{unit}_max") + "_max"
    return field


def _unit(field: str) -> Callable[[str], Any] | None:
    if file_key(field) == field:
        return None
    return parse_size_bytes if "_bytes" in field else parse_duration_s


def field_kinds(struct: type) -> dict[str, tuple[msgspec.structs.FieldInfo, Any]]:
    """The fields of ``struct`` by their name in the file, each with its type."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return {file_key(field.name): (field, hints[field.name]) for field in msgspec.structs.fields(struct)}


class Binder:
    """Binds one tree. ``problems`` collects everything that is wrong; ``places`` knows the node of every key."""

    def __init__(self) -> None:
        self.problems: list[ConfigInvalid] = []
        self.places: dict[str, Node] = {}

    def problem(self, key: str, message: str, *, cure: str = "") -> None:
        """Note that ``key`` is wrong, at the place of the nearest key that was written."""
        near = key
        while near and near not in self.places:
            near = re.sub(r"(\.[^.\[]+|\[\d+\]|[^.\[]+)$", "", near)
        place = self.places.get(near, Node(None))
        self.problems.append(ConfigInvalid(message, cure=cure, file=place.origin, line=place.line, key=key))

    def struct(self, kind: type[Any], node: Node, key: str, *, given: dict[str, Any] | None = None) -> Any:
        """``kind`` from ``node``, or ``None`` with the reasons in ``problems``. ``given`` fields are not read."""
        self.places[key] = node
        before = len(self.problems)
        if node.value is None and not given:
            node = Node({}, node.line, node.origin)
        if not isinstance(node.value, dict):
            self.problem(key, f"expected keys and values, got {_said(node.value)}")
            return None
        kinds = {name: both for name, both in field_kinds(kind).items() if both[0].name not in (given or {})}
        values: dict[str, Any] = dict(given or {})
        for name, inner in node.value.items():
            dotted = f"{key}.{name}" if key else name
            self.places[dotted] = inner
            if name not in kinds:
                self.unknown(dotted, name, list(kinds))
                continue
            field, expected = kinds[name]
            values[field.name] = self.value(expected, inner, dotted, field.name)
        for name, (field, _) in kinds.items():
            if field.required and field.name not in values:
                self.problem(f"{key}.{name}" if key else name, "is missing", cure="Add it.")
        if len(self.problems) > before:
            return None
        try:
            return kind(**values)
        except ValueError as error:
            self.problem(key, str(error))
            return None

    def value(self, expected: Any, node: Node, key: str, field: str) -> Any:
        """``node`` as ``expected``; notes a problem and gives ``None`` when it is something else."""
        self.places[key] = node
        options = typing.get_args(expected) if typing.get_origin(expected) in (types.UnionType, typing.Union) else ()
        if options:
            if node.value is None and types.NoneType in options:
                return None
            rest = [option for option in options if option is not types.NoneType]
            if len(rest) == 1:
                return self.value(rest[0], node, key, field)
            return self._leaf(expected, node, key, field)
        bare = typing.get_origin(expected) or expected
        if bare in (list, tuple):
            return self._list(expected, node, key, field)
        if bare is dict:
            return self._dict(expected, node, key, field)
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            return self.struct(bare, node, key)
        if expected in (object, Any):
            return self._finite(node.plain(), key)
        return self._leaf(expected, node, key, field)

    def _list(self, expected: Any, node: Node, key: str, field: str) -> Any:
        if not isinstance(node.value, list):
            self.problem(
                key, f"expected a list, got {_said(node.value)}", cure=f"Write {key.rpartition('.')[2]}: [...]"
            )
            return None
        inner = (typing.get_args(expected) or (Any,))[0]
        items = [self.value(inner, item, f"{key}[{index}]", field) for index, item in enumerate(node.value)]
        return tuple(items) if typing.get_origin(expected) is tuple else items

    def _dict(self, expected: Any, node: Node, key: str, field: str) -> Any:
        if node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self.problem(key, f"expected keys and values, got {_said(node.value)}")
            return None
        inner = (typing.get_args(expected) or (str, Any))[1]
        return {name: self.value(inner, item, f"{key}.{name}", field) for name, item in node.value.items()}

    def named(self, kind: type[Any], node: Node, key: str) -> dict[str, Any]:
        """A section whose keys are names the operator chose, each with a ``kind`` that has a field ``name``."""
        self.places[key] = node
        found: dict[str, Any] = {}
        if node.value is None:
            return found
        if not isinstance(node.value, dict):
            self.problem(key, f"expected names and their settings, got {_said(node.value)}")
            return found
        has_name = "name" in field_kinds(kind)
        for name, inner in node.value.items():
            dotted = f"{key}.{name}"
            self.places[dotted] = inner
            # A provider's name stands in an address that its sender was given, as it was given.
            if not NAME.fullmatch(name.lower() if kind is ProviderSettings and name.isascii() else name):
                self.problem(dotted, "is not a name", cure="Use a-z, 0-9, _ and -, at most 63 of them.")
                continue
            value = self.struct(kind, inner, dotted, given={"name": name} if has_name else None)
            if value is not None:
                found[name] = value
        return found

    def _leaf(self, expected: Any, node: Node, key: str, field: str) -> Any:
        value = node.value
        if field in SECRET_FIELDS:
            if not isinstance(value, str) or not REFERENCE.fullmatch(value):
                self.problem(
                    key,
                    "a reference is due here, not a value",
                    cure="Put the secret into the environment or a file and write env:NAME or file:/path.",
                )
                return None
            return value
        unit = _unit(field)
        if unit is not None:
            if not isinstance(value, str):
                example = "64KiB" if "_bytes" in field else "5s"
                self.problem(key, f"expected a value with its unit, got {_said(value)}", cure=f"Write e.g. {example}.")
                return None
            try:
                value = unit(value)
            except ValueError as error:
                self.problem(key, str(error))
                return None
        elif isinstance(value, (dict, list)):
            self.problem(key, f"expected {_wanted(expected)}, got {_said(value)}")
            return None
        words = _choices(expected)
        if words and value not in words:
            self.problem(key, f"is not one of {', '.join(words)}", cure=_near(str(value), words))
            return None
        try:
            return self._finite(msgspec.convert(value, expected, strict=True), key)
        except msgspec.ValidationError as error:
            bound = re.match(r"Expected `\w+` (.+)", str(error))
            if bound and "got" not in bound[1]:
                self.problem(key, f"must be {bound[1].replace(' - at `$`', '')}, is {node.value!r}")
            else:
                self.problem(key, f"expected {_wanted(expected)}, got {_said(value)}")
            return None

    def _finite(self, value: Any, key: str) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            self.problem(key, "is not a finite number")
            return None
        return value

    def unknown(self, dotted: str, name: str, known: list[str]) -> None:
        """Note a key that no setting has, with the nearest that one has."""
        cure = _near(name, known)
        self.problem(dotted, "is not a setting", cure=cure or f"Known here: {', '.join(sorted(known))}.")


def _near(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else ""


def _choices(expected: Any) -> list[str]:
    if typing.get_origin(expected) is typing.Literal:
        return [str(option) for option in typing.get_args(expected)]
    if isinstance(expected, type) and issubclass(expected, Enum):
        return [str(member.value) for member in expected]
    return []


def _wanted(expected: Any) -> str:
    bare = typing.get_args(expected)[0] if hasattr(expected, "__metadata__") else expected
    return _KINDS.get(getattr(bare, "__name__", ""), "a value of another kind")


def _said(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "keys and values"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
        case str():
            return "a text"  # never quoted: it may be a secret that stands in the wrong place
        case _:
            return f"the number {value}"
