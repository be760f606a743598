"""What a piece of work costs the interpreter, counted and not timed: the same on a busy machine and on an idle one.

Counted are the instructions of bytecode that run in the product's own files, and the calls from them into C. What the
standard library, the libraries and the kernel do is not: it would differ between machines. The numbers belong to one
minor version of the interpreter, which is why each has its own baseline.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import rco

__all__ = ["Count", "counting"]

_OURS = str(Path(rco.__file__).parent) + "/"
_NOT_OURS = _OURS + "testing/"


class Count:
    """Grows while the block of ``counting`` runs."""

    def __init__(self) -> None:
        self.instructions = self.c_calls = 0

    @property
    def cost(self) -> int:
        """One number: a call into C weighs as ten instructions, about what it takes."""
        return self.instructions + 10 * self.c_calls


@contextmanager
def counting() -> Iterator[Count]:
    """Count what this thread does in the product's files. Coroutines that were begun before are counted from their
    next step on; the frames that are on the stack now are not."""
    count = Count()
    known: dict[Any, bool] = {}

    def ours(frame: FrameType) -> bool:
        code = frame.f_code
        answer = known.get(code)
        if answer is None:
            name = code.co_filename
            answer = known[code] = name.startswith(_OURS) and not name.startswith(_NOT_OURS)
        return answer

    def instruction(frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            count.instructions += 1
        return instruction

    def entered(frame: FrameType, event: str, _: Any) -> Any:
        if not ours(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return instruction

    def called(frame: FrameType, event: str, _: Any) -> None:
        if event == "c_call" and ours(frame):
            count.c_calls += 1

    outer = sys.gettrace(), sys.getprofile()
    sys.setprofile(called)
    sys.settrace(entered)
    try:
        yield count
    finally:
        sys.settrace(outer[0])
        sys.setprofile(outer[1])
