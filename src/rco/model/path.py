"""Paths of URLs, and patterns over them.

A path is taken apart once, here, and anything that two parsers could read in two ways is refused instead of mended:
an allow-list is worth what its narrowest reader and the server agree on.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

__all__ = ["PATH_LIMIT", "PathPattern", "PathRefused", "path_segments"]

PATH_LIMIT = 4096
"""Characters of a path."""

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9_~!$&'()*+,=:@.-]*)+/?|/")
"""Paths that need no second look: no percent sign, no ``;``, no segment that begins with a dot. RFC 3986 pchar."""
_PCHARS = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_ENCODED_TWICE = re.compile(r"%25[0-9A-Fa-f]{2}")


class PathRefused(ValueError):
    """The path is not one that every server reads the same way. ``reason`` is a word, the text names the cure."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


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


class PathPattern(msgspec.Struct, frozen=True):
    """A pattern over decoded segments: ``*`` is one segment that is not empty, ``/**`` at the end is the rest."""

    template: str
    segments: tuple[str, ...]
    rest: bool

    @classmethod
    def compile(cls, path: str) -> PathPattern:
        """Raises ``ValueError`` (``PathRefused`` is one) for what no path can match."""
        rest = path.endswith("/**")
        bare = path.removesuffix("/**")
        if bare == "" and rest:
            return cls(path, (), True)
        segments = path_segments(bare)
        if any("*" in segment and segment != "*" for segment in segments):
            raise ValueError(f"rule path {path!r}: '*' stands for a whole segment, '/**' only at the end")
        return cls(path, segments, rest)

    def matches(self, segments: tuple[str, ...]) -> bool:
        """Whether a path of these ``segments`` (see ``path_segments``) fits."""
        head = len(self.segments)
        if len(segments) < head + 1 if self.rest else len(segments) != head:
            return False
        for wanted, given in zip(self.segments, segments, strict=False):
            if wanted != given and not (wanted == "*" and given):
                return False
        return True
