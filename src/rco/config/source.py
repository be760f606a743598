"""A YAML text as a tree that remembers its lines. Only the plain part of YAML is let in.

Refused: aliases and anchors (a few hundred bytes of them can stand for gigabytes), merge keys, tags, several documents,
duplicate keys, keys that are not strings, trees that are too deep or too large. Scalars follow YAML 1.2's core schema:
``no``, ``on`` and ``2026-11-21`` are strings.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

from rco.errors import ConfigInvalid

__all__ = ["DEPTH_MAX", "NODES_MAX", "SOURCE_BYTES_MAX", "Node", "parse_yaml", "plain_scalar"]

SOURCE_BYTES_MAX = 256 * 1024
NODES_MAX = 20_000
DEPTH_MAX = 16

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18}|[0-9]{1,18})(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}


class Node(msgspec.Struct, frozen=True, gc=False):
    """A value and where it stands: a file and a line (from 1), or a variable or flag and line 0.

    ``value`` is a scalar, a list of nodes or a dict of nodes.
    """

    value: Any
    line: int = 0
    origin: str = ""

    def plain(self) -> Any:
        """The value without its lines."""
        if isinstance(self.value, dict):
            return {name: inner.plain() for name, inner in self.value.items()}
        if isinstance(self.value, list):
            return [inner.plain() for inner in self.value]
        return self.value


def plain_scalar(text: str) -> Any:
    """What an unquoted word means: null, a boolean, a number, or itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Builder:
    def __init__(self, events: Any, file: str) -> None:
        self._events, self._file, self._left = events, file, NODES_MAX

    def refuse(self, message: str, mark: Any, *, key: str = "", cure: str = "") -> ConfigInvalid:
        return ConfigInvalid(message, cure=cure, file=self._file, line=mark.line + 1 if mark else 0, key=key)

    def document(self) -> Node:
        next(self._events)  # stream start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Node({}, 1, self._file)
        root = self._node(next(self._events), 0, "")
        next(self._events)  # document end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self.refuse("a second document begins here", after.start_mark, cure="Keep one document a file.")
        return root

    def _node(self, event: Any, depth: int, key: str) -> Node:
        self._left -= 1
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self.refuse("anchors and aliases are not read", mark, key=key, cure="Write the value out.")
        if self._left < 0:
            raise self.refuse(f"more than {NODES_MAX} values", mark, cure="Split the configuration.")
        if depth > DEPTH_MAX:
            raise self.refuse(f"nested deeper than {DEPTH_MAX}", mark, key=key, cure="No setting needs that.")
        if event.tag is not None and event.tag != "!":
            raise self.refuse("tags are not read", mark, key=key, cure="Remove the tag.")
        if isinstance(event, yaml.ScalarEvent):
            return Node(event.value if event.style else plain_scalar(event.value), mark.line + 1, self._file)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(event, depth + 1, f"{key}[{len(items)}]"))
            return Node(items, mark.line + 1, self._file)
        return Node(self._mapping(depth, key), mark.line + 1, self._file)

    def _mapping(self, depth: int, key: str) -> dict[str, Node]:
        fields: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = event.value if isinstance(event, yaml.ScalarEvent) else None
            if name is None or name == "<<" or not name:
                raise self.refuse("this is not a key", event.start_mark, key=key, cure="Write a plain word.")
            dotted = f"{key}.{name}" if key else name
            if name in fields:
                first = fields[name].line
                raise self.refuse(f"written twice, first at line {first}", event.start_mark, key=dotted)
            self._node(event, depth + 1, dotted)  # counts it, and refuses an anchor or tag on it
            fields[name] = self._node(next(self._events), depth + 1, dotted)
        return fields


def parse_yaml(text: bytes, file: str) -> Node:
    """The tree of ``text``. Raises ``ConfigInvalid`` with file and line for everything that is not plain YAML."""
    if len(text) > SOURCE_BYTES_MAX:
        raise ConfigInvalid(f"larger than {SOURCE_BYTES_MAX} bytes", cure="Split the configuration.", file=file)
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise ConfigInvalid("not UTF-8", cure="Save the file as UTF-8.", file=file, line=line) from None
    try:
        return _Builder(yaml.parse(decoded, Loader=yaml.SafeLoader), file).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        # The problem names tokens, never values; the context may quote the text, so it stays out.
        raise ConfigInvalid(f"not YAML: {error.problem or 'cannot be read'}", file=file, line=line) from None
    except yaml.YAMLError:
        raise ConfigInvalid("not YAML: holds a character that YAML does not allow", file=file) from None
