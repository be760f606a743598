"""What an expression may not use: it sees the value it is given and nothing else, and it ends.

Refused are the built-ins of jq that reach outside (environment, other inputs, standard error, the process, the clock
and its zone), those that can run for as long as a number in the data says (an expression runs on the loop, and jq
cannot be interrupted), definitions (recursion is a loop), and modules.

Two fences, one behind the other. ``forbidden_word`` finds the words in the text, so that a person learns at once what
is wrong. ``PRELUDE`` stands before every expression and binds the same names to an error, so that nothing is reached
even where the first fence misreads the text.
"""

from __future__ import annotations

import re

import msgspec

__all__ = ["PRELUDE", "Found", "forbidden_word"]

# Name and parameters of each, as jq has them.
_BUILTINS = (
    "env",
    "input",
    "inputs",
    "debug",
    "debug(a)",
    "stderr",
    "input_filename",
    "input_line_number",
    "halt",
    "halt_error",
    "halt_error(a)",
    "get_search_list",
    "modulemeta",
    "now",
    "localtime",
    "strflocaltime(a)",
    "repeat(a)",
    "while(a; b)",
    "until(a; b)",
    "range(a)",
    "range(a; b)",
    "range(a; b; c)",
    "recurse(a)",
    "recurse(a; b)",
    "combinations",
    "combinations(a)",
)
_SYNTAX = ("$ENV", "def", "import", "include")
_WORDS = frozenset(name.partition("(")[0] for name in _BUILTINS) | frozenset(_SYNTAX)

PRELUDE = (
    "".join(f'def {name}: error("{name.partition("(")[0]} is not available"); ' for name in _BUILTINS)
    + "null as $ENV |\n"
)
"""One line of jq that goes before an expression."""

# jq's lexer, as far as needed. In a string only \( ) is code; after a dot stands the name of a field; a comment goes to
# the end of its line.
_CODE = re.compile(r"#[^\n]*|\.[A-Za-z_]\w*|\$?[A-Za-z_]\w*|[\"()]", re.ASCII)
_TEXT = re.compile(r"\\\(|\\.|\"", re.DOTALL)


class Found(msgspec.Struct, frozen=True):
    """A word that may not be used, and where it begins in the text."""

    word: str
    at: int


def forbidden_word(text: str) -> Found | None:
    """The first word in ``text`` that an expression may not use, or ``None``."""
    depths: list[int] = []
    depth = at = 0
    in_text = False
    while match := (_TEXT if in_text else _CODE).search(text, at):
        mark, at = match[0], match.end()
        if mark == '"':
            in_text = not in_text
        elif mark == "\\(":
            depths.append(depth)
            depth, in_text = 0, False
        elif mark == "(":
            depth += 1
        elif mark == ")":
            if depth == 0 and depths:
                depth, in_text = depths.pop(), True
            else:
                depth -= 1
        elif not in_text and mark in _WORDS and not _is_key(text, at):
            return Found(mark, match.start())
    return None


def _is_key(text: str, end: int) -> bool:
    """Whether the word that ends there is the key in an object, as in ``{input: 1}``."""
    after = text[end:].lstrip()
    return after.startswith(":") and not after.startswith("::")
