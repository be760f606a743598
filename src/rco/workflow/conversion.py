"""Plain data to typed values and back: journals hold plain data, authors work with their own types."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["converter", "plain", "returns"]

_PLAIN = (Any, None, type(None), str, int, float, bool, dict, list, object)


def converter(hint: Any) -> Callable[[Any], Any] | None:
    """A function from plain data to ``hint``, or ``None`` when plain data is what is wanted."""
    if not _needs(hint):
        return None
    return functools.partial(msgspec.convert, type=hint)


def _needs(hint: Any) -> bool:
    if any(hint is one for one in _PLAIN) or isinstance(hint, (str, typing.TypeVar)):
        return False
    inner = typing.get_args(hint)
    if inner:
        origin = typing.get_origin(hint)
        return (origin in (tuple, set, frozenset)) or any(_needs(one) for one in inner if one is not Ellipsis)
    return inspect.isclass(hint) and (
        issubclass(hint, msgspec.Struct) or dataclasses.is_dataclass(hint) or hint.__module__ != "builtins"
    )


@functools.lru_cache(maxsize=4096)
def returns(function: Callable[..., Any]) -> Callable[[Any], Any] | None:
    """The converter for what ``function`` is annotated to return."""
    try:
        hint = typing.get_type_hints(function).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return None
    return converter(hint)


def plain(value: Any) -> Any:
    """``value`` as plain data. Raises ``TypeError`` for what has no plain form."""
    return msgspec.to_builtins(value, builtin_types=(bytes,))
