"""A TOML text as a tree that remembers its lines, in the same form as ``source.parse_yaml`` gives.

The standard library reads the values and refuses what is not TOML; where each key stands is found beside it, as it does
not tell. What stands inside an array or an inline table has the line of its key.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from datetime import date, datetime, time
from typing import Any

from rco.config.source import DEPTH_MAX, NODES_MAX, SOURCE_BYTES_MAX, Node
from rco.errors import ConfigInvalid

__all__ = ["parse_toml"]

_KEY_PART = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|"((?:[^"\\]|\\.)*)"|'([^']*)')[ \t]*""")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_COMMENT = re.compile(r"#[^\n]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_AT_LINE = re.compile(r" \(at (?:line (\d+)|end of document).*")


def parse_toml(text: bytes, file: str) -> Node:
    """The tree of ``text``. Raises ``ConfigInvalid`` with file and line for everything that is not TOML, and for trees
    that are too deep or too large."""
    if len(text) > SOURCE_BYTES_MAX:
        raise ConfigInvalid(f"larger than {SOURCE_BYTES_MAX} bytes", cure="Split the configuration.", file=file)
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise ConfigInvalid("not UTF-8", cure="Save the file as UTF-8.", file=file, line=line) from None
    try:
        data = tomllib.loads(decoded)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = _AT_LINE.search(said)
        line = int(found[1]) if found and found[1] else decoded.count("\n") + 1
        raise ConfigInvalid(f"not TOML: {_AT_LINE.sub('', said)}", file=file, line=line) from None
    except RecursionError:
        raise ConfigInvalid(f"nested deeper than {DEPTH_MAX}", file=file, cure="No setting needs that.") from None
    return _Builder(_Lines(decoded).found, file).node(data, "", 1, 0)


class _Builder:
    def __init__(self, lines: dict[str, int], file: str) -> None:
        self._lines, self._file, self._left = lines, file, NODES_MAX

    def node(self, value: Any, key: str, line: int, depth: int) -> Node:
        self._left -= 1
        line = self._lines.get(key, line)
        if self._left < 0:
            raise ConfigInvalid(f"more than {NODES_MAX} values", cure="Split the configuration.", file=self._file)
        if depth > DEPTH_MAX:
            raise ConfigInvalid(f"nested deeper than {DEPTH_MAX}", file=self._file, line=line, key=key)
        if isinstance(value, dict):
            items = {
                name: self.node(item, f"{key}.{name}" if key else name, line, depth + 1) for name, item in value.items()
            }
            return Node(items, line, self._file)
        if isinstance(value, list):
            return Node(
                [self.node(item, f"{key}[{index}]", line, depth + 1) for index, item in enumerate(value)],
                line,
                self._file,
            )
        if isinstance(value, datetime | date | time):
            return Node(value.isoformat().replace("+00:00", "Z"), line, self._file)
        return Node(value, line, self._file)


class _Lines:
    """Where each key of a valid TOML text stands."""

    def __init__(self, text: str) -> None:
        self.found: dict[str, int] = {}
        self._text, self._at = text, 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._arrays: dict[str, int] = {}
        prefix = ""
        while True:
            self._skip(_BLANK)
            if self._at >= len(text):
                return
            line = bisect_right(self._ends, self._at) + 1
            if text.startswith("[[", self._at):
                prefix = self._table(2, line)
            elif text.startswith("[", self._at):
                prefix = self._table(1, line)
            else:
                self._note(prefix, self._key(), line)
                self._at += 1  # the equals sign
                self._value()

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            match = _KEY_PART.match(self._text, self._at)
            if match is None:
                return parts
            self._at = match.end()
            parts.append(next(part for part in match.groups() if part is not None))
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _table(self, brackets: int, line: int) -> str:
        self._at += brackets
        parts = self._key()
        self._at += brackets
        if brackets == 2:
            path = self._note("", parts[:-1], line)
            path = f"{path}.{parts[-1]}" if path else parts[-1]
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self.found.setdefault(path, line)
            path = f"{path}[{self._arrays[path]}]"
            self.found[path] = line
            return path
        return self._note("", parts, line)

    def _note(self, prefix: str, parts: list[str], line: int) -> str:
        path = prefix
        for part in parts:
            path = f"{path}.{part}" if path else part
            self.found.setdefault(path, line)
            if path in self._arrays:
                path = f"{path}[{self._arrays[path]}]"
        return path

    def _value(self) -> None:
        """Skip a value: to the end of its line, outside of brackets."""
        depth = 0
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            if char == "\n" and depth == 0:
                return
            if char in "\"'":
                self._skip(_STRING)
            elif char == "#":
                self._skip(_COMMENT)
            else:
                depth += (char in "[{") - (char in "]}")
                self._at += 1
