"""Does a target allow this method and path?

A path is taken apart once, here, and anything that two parsers could read in two ways is refused instead of mended:
an allow-list is worth what its narrowest reader and the server agree on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import msgspec

from rco.model.target import Rule

__all__ = ["PATH_LIMIT", "PathRefused", "Rules", "path_segments"]

PATH_LIMIT = 4096
"""Characters of a path."""

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9_~!$&'()*+,=:@.-]*)+/?|/")
"""Paths that need no second look: no percent sign, no ``;``, no segment that begins with a dot. RFC 3986 pchar."""
_PCHARS = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_ENCODED_TWICE = re.compile(r"%25[0-9A-Fa-f]{2}")
_METHOD = re.compile(r"[A-Z]{1,20}")
_NEVER = frozenset({"CONNECT", "TRACE"})


class PathRefused(ValueError):
    """The path is not one that every server reads the same way. ``reason`` is a word, the text names the cure."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class _Compiled(msgspec.Struct, frozen=True):
    template: str
    segments: tuple[str, ...]
    rest: bool


def path_segments(path: str) -> tuple[str, ...]:
    """The decoded segments of ``path``; a path that ends in ``/`` has an empty last one.

    Raises ``PathRefused`` for what is no absolute path or could be read as another one: an absolute URL, ``//``, a
    query or fragment, a backslash, control and non-ASCII characters, ``.`` and ``..`` as segments in any spelling
    (encoded, encoded twice, with ``;`` behind, in full width), an encoded slash, what is not UTF-8.
    """
    if len(path) > PATH_LIMIT:
        raise PathRefused("path_too_long", f"a path of {len(path)} characters; {PATH_LIMIT} is the limit")
    if _PLAIN.fullmatch(path):
        return tuple(path[1:].split("/"))
    if not path.startswith("/"):
        raise PathRefused(
            "path_not_absolute", "the path must begin with '/'; the host comes from the target's base_url"
        )
    if "?" in path or "#" in path:
        raise PathRefused("query_in_path", "the path holds a query or fragment; give it in query= instead")
    if "//" in path:
        raise PathRefused("path_double_slash", "the path holds '//'; write a single '/'")
    if not _PCHARS.fullmatch(path):
        raise PathRefused(
            "path_characters", "the path holds characters a URL path cannot; percent-encode them (urllib.parse.quote)"
        )
    if _ENCODED_TWICE.search(path):
        raise PathRefused("path_encoded_twice", "the path is percent-encoded twice; encode it once")
    return tuple(_decoded(segment) for segment in path[1:].split("/"))


def _decoded(segment: str) -> str:
    try:
        text = _unquote(segment)
    except UnicodeDecodeError:
        raise PathRefused("path_not_utf8", "the path's percent-encoding is not UTF-8") from None
    # NFKC is what careless servers fold with: full-width dots and slashes become the plain ones.
    folded = unicodedata.normalize("NFKC", text)
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise PathRefused("path_control", "the path holds an encoded control character")
    if "/" in folded or "\\" in folded:
        raise PathRefused("path_encoded_slash", "the path holds an encoded slash or backslash inside a segment")
    if folded.partition(";")[0].strip() in (".", ".."):
        raise PathRefused("path_dots", "the path holds '.' or '..' as a segment; write the path it means")
    return text


def _unquote(segment: str) -> str:
    if "%" not in segment:
        return segment
    head, *parts = segment.split("%")
    return (head.encode() + b"".join(bytes((int(part[:2], 16),)) + part[2:].encode() for part in parts)).decode()


class Rules:
    """The compiled ``allow`` list of one target."""

    __slots__ = ("_by_method",)

    def __init__(self, allow: Iterable[Rule]) -> None:
        """Raises ``ValueError`` for a rule whose path or method cannot be one."""
        self._by_method: dict[str, list[_Compiled]] = {}
        for rule in allow:
            compiled = _compile(rule.path)
            for method in rule.methods:
                if not _METHOD.fullmatch(method) or method in _NEVER:
                    raise ValueError(f"method {method!r} in the rule for {rule.path!r}; write e.g. GET or POST")
                self._by_method.setdefault(method, []).append(compiled)

    def match(self, method: str, path: str) -> str | None:
        """The template of the first rule that allows it, or ``None``. Raises ``PathRefused`` (see ``path_segments``).

        ``method`` is in capitals, as HTTP methods are case-sensitive (RFC 9110 section 9.1).
        """
        segments = path_segments(path)
        for rule in self._by_method.get(method, ()):
            if _matches(rule, segments):
                return rule.template
        return None


def _compile(path: str) -> _Compiled:
    rest = path.endswith("/**")
    bare = path.removesuffix("/**")
    if bare == "" and rest:
        return _Compiled(path, (), True)
    segments = path_segments(bare)
    if any("*" in segment and segment != "*" for segment in segments):
        raise ValueError(f"rule path {path!r}: '*' stands for a whole segment, '/**' only at the end")
    return _Compiled(path, segments, rest)


def _matches(rule: _Compiled, segments: tuple[str, ...]) -> bool:
    head = len(rule.segments)
    if len(segments) < head + 1 if rule.rest else len(segments) != head:
        return False
    for wanted, given in zip(rule.segments, segments, strict=False):
        if wanted != given and not (wanted == "*" and given):
            return False
    return True
