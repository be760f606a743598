"""Where a declared probe asks: a path and a query with words in braces, filled from the call that is in doubt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from rco.model.target import PROBE_WORDS

__all__ = ["ProbeTemplate"]

_WORD = re.compile(r"\{([^{}]*)\}")
_PLAIN = frozenset(word for word in PROBE_WORDS if "." not in word)
_FIELDS = tuple(word.partition(".")[0] for word in PROBE_WORDS if "." in word)


class ProbeTemplate(msgspec.Struct, frozen=True):
    """``path`` and ``query`` as they were written, taken apart before anything is put in: a value never becomes a
    slash, another parameter or another word."""

    path: str
    query: tuple[tuple[str, str], ...]

    @classmethod
    def compile(cls, text: str) -> ProbeTemplate:
        """Raises ``ValueError`` for what is no path, or has words that there are not."""
        path, _, rest = text.partition("?")
        if not path.startswith("/"):
            raise ValueError("must begin with '/'; the host comes from the target's base_url")
        query: list[tuple[str, str]] = []
        for part in filter(None, rest.split("&")):
            name, _, value = part.partition("=")
            query.append((unquote_plus(name), unquote_plus(value)))
        if len(dict(query)) != len(query):
            raise ValueError("names a parameter of the query twice")
        for place in (path, *(value for _, value in query)):
            if "{" in _WORD.sub("", place) or "}" in _WORD.sub("", place):
                raise ValueError("has a brace that is not closed")
            for word in _WORD.findall(place):
                first, dot, field = word.partition(".")
                if word not in _PLAIN and not (first in _FIELDS and dot and all(field.split("."))):
                    raise ValueError(f"has {{{word}}}; there are {', '.join(PROBE_WORDS)}")
        return cls(path, tuple(query))

    @property
    def sample(self) -> str:
        """A path of this form, to be asked of the target's rules."""
        return _WORD.sub("x", self.path)

    def filled(self, words: Mapping[str, Any], encode: Callable[[str], str]) -> tuple[str, dict[str, str]]:
        """Path and query for these words; in the path they are put through ``encode``. Raises ``LookupError`` for a
        field that the call has not, and ``ValueError`` for one that is no text or number, or is empty."""
        path = _WORD.sub(lambda match: encode(_text(words, match[1])), self.path)
        return path, {name: _WORD.sub(lambda match: _text(words, match[1]), value) for name, value in self.query}


def _text(words: Mapping[str, Any], word: str) -> str:
    value: Any = words
    for step in word.split("."):
        if not isinstance(value, Mapping) or step not in value:
            raise LookupError(f"the call has no {word}, which its probe asks by")
        value = value[step]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value == "":
        raise ValueError(f"{word} of the call is no text or number to ask by")
    return str(value)
