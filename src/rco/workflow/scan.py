"""Reading a workflow's code for what cannot be replayed: clocks, randomness, tasks, sleeping.

Whatever wants the event loop or a socket is caught while it runs (``engine.machine``, ``workflow.guard``). Clocks and
randomness leave no trace then, so they are looked for here, before the first run: in the workflow, in what is nested
in it, and in functions of its module that take the context.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import dis
import inspect
import os
import random
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import Any

from rco.errors import Misuse

__all__ = ["scan"]

_TIME = "Use ctx.now()."
_SLEEP = "Use await ctx.sleep(seconds)."
_CHANCE = "Use ctx.random() or ctx.uuid()."
_TASK = "Use ctx.gather, ctx.race, ctx.map or ctx.child."
_IO = "Put it into a step: await ctx.step(fn, ...)."


def _forbidden() -> dict[int, tuple[Any, str, str]]:
    table: dict[int, tuple[Any, str, str]] = {}

    def forbid(module: ModuleType, names: str, cure: str) -> None:
        for name in names.split():
            one = getattr(module, name, None)
            if one is not None:
                table[id(one)] = (one, f"{module.__name__}.{name}", cure)

    forbid(time, "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns localtime gmtime ctime", _TIME)
    forbid(time, "sleep", _SLEEP)
    forbid(
        random,
        "random randint randrange choice choices sample shuffle uniform gauss getrandbits randbytes triangular "
        "betavariate expovariate normalvariate Random SystemRandom",
        _CHANCE,
    )
    forbid(uuid, "uuid1 uuid4", _CHANCE)
    forbid(secrets, "token_bytes token_hex token_urlsafe choice randbelow", _CHANCE)
    forbid(os, "urandom getrandom", _CHANCE)
    forbid(os, "system popen getenv", _IO)
    forbid(
        asyncio, "create_task ensure_future gather wait as_completed TaskGroup run to_thread wait_for timeout", _TASK
    )
    forbid(asyncio, "sleep", _SLEEP)
    return table


_FORBIDDEN = _forbidden()
_NOW = {"now", "utcnow", "today"}
_MISSING = object()


def scan(function: Callable[..., Any]) -> list[Misuse]:
    """What in ``function`` cannot be replayed, each with file, line and cure. Empty when nothing was found."""
    seen: set[CodeType] = set()
    return [problem for code, scope in _reach(function, seen) for problem in _scan_code(code, scope)]


def _reach(function: Any, seen: set[CodeType]) -> Iterator[tuple[CodeType, dict[str, Any]]]:
    code = getattr(function, "__code__", None)
    if code is None or code in seen:
        return
    seen.add(code)
    scope = dict(function.__globals__)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            scope[name] = cell.cell_contents
        except ValueError:
            continue
    for nested in _nested(code):
        yield nested, scope
        for name in nested.co_names:
            other = scope.get(name)
            if inspect.isfunction(other) and other.__module__ == function.__module__ and _takes_context(other):
                yield from _reach(other, seen)


def _takes_context(function: Any) -> bool:
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    return bool(parameters) and parameters[0] in ("ctx", "context")


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if inspect.iscode(const):
            yield from _nested(const)


def _scan_code(code: CodeType, scope: dict[str, Any]) -> Iterator[Misuse]:
    current: Any = _MISSING
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        position = instruction.positions.lineno if instruction.positions is not None else None
        line = position or line
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"):
            current = scope.get(instruction.argval, _MISSING)
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and current is not _MISSING:
            name = instruction.argval
            if name in _NOW and (current is dt.datetime or current is dt.date):
                yield _misuse(code, line, f"{current.__name__}.{name}", _TIME)
            current = _attribute(current, name)
        elif instruction.opname in ("PUSH_NULL", "PRECALL", "CACHE", "NOP", "RESUME"):
            continue
        else:
            current = _MISSING
        if current is not _MISSING:
            entry = _FORBIDDEN.get(id(current)) or _bound(current)
            if entry is not None:
                yield _misuse(code, line, entry[1], entry[2])
                current = _MISSING


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, ModuleType) or inspect.isclass(owner):
        return getattr(owner, name, _MISSING)
    return _MISSING


def _bound(one: Any) -> tuple[Any, str, str] | None:
    # random.random and its like are methods of a hidden instance: equal each time, not identical.
    owner = getattr(one, "__self__", None)
    if isinstance(owner, random.Random):
        return (one, f"random.{one.__name__}", _CHANCE)
    return None


def _misuse(code: CodeType, line: int, what: str, cure: str) -> Misuse:
    return Misuse(f"{code.co_filename}:{line}: workflow code uses {what}, which cannot be replayed.", cure=cure)
