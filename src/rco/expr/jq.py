"""Expressions over JSON, in the language of jq (https://jqlang.org/manual/), without anything that reaches outside."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import jq
import msgspec

from rco.errors import ConfigInvalid, ExpressionFailed
from rco.expr.forbidden import PRELUDE, forbidden_word

__all__ = ["MAX_EXPRESSION_CHARS", "Expression"]

MAX_EXPRESSION_CHARS = 4096
_CACHED = 4096
_SHOWN_CHARS = 200

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_POSITION = re.compile(r"(?:jq: error: )?(.*?),? at <top-level>, line (\d+)(?:, column (\d+))?")
# What jq says of an error quotes the value. Only these forms are passed on, which name types and nothing else.
_TYPE = r"(?:null|boolean|number|string|array|object)"
_SAFE_ERRORS = (
    re.compile(rf"(Cannot index {_TYPE} with {_TYPE})"),
    re.compile(rf"(Cannot iterate over {_TYPE})"),
    re.compile(rf"(Cannot use {_TYPE}).*( as object key)", re.DOTALL),
    re.compile(rf"(Cannot check whether {_TYPE} has a {_TYPE} key)"),
    re.compile(
        rf"({_TYPE}) \(.*\)( and {_TYPE}) \(.*\)( cannot be (?:added|subtracted|multiplied|divided))", re.DOTALL
    ),
    re.compile(
        rf"({_TYPE}) \(.*\)"
        r"( cannot be (?:parsed as a number|matched|sorted|grouped|negated|reversed|exploded|imploded)"
        r"| has no (?:keys|length)| is not valid base64 data)",
        re.DOTALL,
    ),
    re.compile(r"(Regex failure|Repeat string result too long|Array index too large)"),
)


class Expression:
    """A compiled expression.

    It gives the same answer for the same value, sees nothing but that value, and may be used from any thread: jq keeps
    a state per use. It holds the interpreter's lock while it runs, so long work on large values delays everything.
    What it cannot be kept from is using memory: ``.a[100000000] = 1`` is such a list. Whoever writes expressions is
    trusted with that; whoever sends the values is not, so write no expression whose sizes come from the data.
    """

    __slots__ = ("_program", "text")

    def __init__(self, text: str, program: Any) -> None:
        self.text = text
        self._program = program

    @staticmethod
    def compile(text: str) -> Expression:
        """The expression in ``text``, from a cache when it was compiled before.

        Raises ``ConfigInvalid`` naming the expression and the position when it is empty, too long, not jq, or uses a
        word that ``rco.expr.forbidden`` lists.
        """
        return _compiled(text)

    def first(self, value: Any) -> Any:
        """The first output for ``value`` (plain data), or ``None`` when there is no output.

        Raises ``ExpressionFailed`` when the expression cannot work on ``value``, or ``value`` has no JSON form.
        """
        return self.first_json(self._json(value))

    def truthy(self, value: Any) -> bool:
        """Whether the first output is anything but ``false`` and ``null``, which is jq's idea of truth.

        No output is false. Raises ``ExpressionFailed`` as ``first`` does.
        """
        return self.truthy_json(self._json(value))

    def first_json(self, text: str) -> Any:
        """As ``first``, for a value that is one JSON text already; saves making it for each of many expressions."""
        try:
            return next(iter(self._program.input_text(text)), None)
        except (ValueError, RecursionError) as error:
            raise ExpressionFailed(
                f"the expression {_shown(self.text)} failed: {_without_values(str(error))}",
                cure="Let it expect what may come, e.g. with `?` or `//`.",
            ) from None

    def truthy_json(self, text: str) -> bool:
        """As ``truthy``, for a value that is one JSON text already."""
        output = self.first_json(text)
        return output is not None and output is not False

    def _json(self, value: Any) -> str:
        try:
            return msgspec.json.encode(value).decode()
        except (TypeError, ValueError, RecursionError):
            raise ExpressionFailed(
                f"the value given to the expression {_shown(self.text)} has no JSON form",
                cure="Give plain data: dictionaries with text as keys, lists, text, numbers, booleans, null.",
            ) from None


@lru_cache(_CACHED)
def _compiled(text: str) -> Expression:
    if not text.strip() or len(text) > MAX_EXPRESSION_CHARS:
        raise ConfigInvalid(
            f"the expression has {len(text)} characters",
            cure=f"Write an expression of 1 to {MAX_EXPRESSION_CHARS} characters.",
        )
    # jq takes the text as a C string: what stands after a NUL would be dropped in silence.
    if control := _CONTROL.search(text):
        raise _invalid(text, "a control character", control.start(), cure="Write it as \\u and four digits.")
    if found := forbidden_word(text):
        raise _invalid(
            text,
            f"{found.word} may not be used: an expression sees only its value, and it ends",
            found.at,
            cure='Use what is in the value; for a field of that name write .["name"].',
        )
    try:
        return Expression(text, jq.compile(PRELUDE + text))
    except ValueError as error:
        said = _POSITION.search(str(error))
        # The prelude is one line of its own before the text.
        line = max(1, int(said[2]) - 1) if said else 1
        column = f", column {said[3]}" if said and said[3] else ""
        what = said[1] if said else "not an expression of jq"
        raise ConfigInvalid(
            f"the expression {_shown(text)}: {what}, at line {line}{column}",
            cure="See https://jqlang.org/manual/ for what can be written.",
        ) from None


def _invalid(text: str, what: str, at: int, *, cure: str) -> ConfigInvalid:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return ConfigInvalid(f"the expression {_shown(text)}: {what}, at line {line}, column {column}", cure=cure)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…")


def _without_values(message: str) -> str:
    for form in _SAFE_ERRORS:
        if match := form.match(message):
            return "".join(match.groups())
    return "it raised an error"
