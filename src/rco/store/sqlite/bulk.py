"""One statement for many rows.

``executemany`` gives the interpreter lock away twice for every row, and while the loop thread is busy each time costs
a whole switch interval to get it back. So rows travel as parameters of few statements (measured in
docs/decisions/0003-sqlite-writer.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

__all__ = ["Bulk"]

_LARGEST = 256


class Bulk:
    """A statement with a list of rows in it: ``head``, then ``row`` repeated with ``between``, then ``tail``.

    Rows are given flat, one value after the other. A list of any length is cut into powers of two, so that a handful
    of prepared statements serve every length.
    """

    __slots__ = ("_texts", "_width")

    def __init__(self, head: str, row: str, tail: str = "", *, between: str = ",", largest: int = _LARGEST) -> None:
        self._width = row.count("?")
        sizes = [1 << power for power in range(largest.bit_length())]
        self._texts = [(size, f"{head}{between.join([row] * size)}{tail}") for size in reversed(sizes)]

    def run(self, cursor: sqlite3.Cursor, flat: Sequence[Any]) -> int:
        """Write all rows. Returns how many rows were changed."""
        changed = at = 0
        left = len(flat) // self._width
        for size, text in self._texts:
            while left >= size:
                stop = at + size * self._width
                cursor.execute(text, flat[at:stop])
                changed += cursor.rowcount
                at = stop
                left -= size
        return changed

    def fetch(self, cursor: sqlite3.Cursor, flat: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Read for all rows. Answers come in the order of the statements, each in the order that its text asks for."""
        found: list[tuple[Any, ...]] = []
        at = 0
        left = len(flat) // self._width
        for size, text in self._texts:
            while left >= size:
                stop = at + size * self._width
                found += cursor.execute(text, flat[at:stop]).fetchall()
                at = stop
                left -= size
        return found
