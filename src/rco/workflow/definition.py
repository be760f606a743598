"""Defining a workflow: the decorator, and what it makes of a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, NoReturn, TypeVar, get_type_hints, overload

import msgspec

from rco.errors import Misuse
from rco.kit.digest import digest
from rco.model.subscription import Subscription
from rco.workflow.context import Context

__all__ = ["On", "Workflow", "workflow"]

I = TypeVar("I")  # noqa: E741 - the input
R = TypeVar("R")


class On(msgspec.Struct, frozen=True):
    """An event that starts the workflow. ``type`` and ``source`` match exactly, or by prefix when they end in ``*``;
    ``where`` and ``key`` are jq expressions over the event, see ``rco.model.subscription``."""

    type: str
    source: str = "*"
    where: str | None = None
    key: str | None = None


class Workflow(Generic[I, R]):
    """A defined workflow: pass it to ``ctx.child``; its name is what the API and the command line know it by."""

    def __init__(
        self,
        function: Callable[[Context, I], Coroutine[Any, Any, R]],
        name: str,
        on: Sequence[On],
        queue: str = "",
        retention: str = "",
    ) -> None:
        self.function = function
        self.queue, self.retention = queue, retention
        self.name = name
        self.on = tuple(on)
        self.version = _version(function.__code__)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise Misuse(
            f"workflow {self.name!r} was called like a function.",
            cure=f"In a workflow: await ctx.child({self.__name__}, input). From outside: rco run start {self.name}.",
        )

    def __repr__(self) -> str:
        return f"<workflow {self.name} {self.version}>"

    def subscriptions(self) -> list[Subscription]:
        """What ``on=`` asks for, as the router knows it."""
        return [
            Subscription(
                name=f"{self.name}:{on.type}" if len(self.on) == 1 else f"{self.name}:{on.type}:{index}",
                workflow=self.name,
                type=on.type,
                source=on.source,
                where=on.where,
                key=on.key,
            )
            for index, on in enumerate(self.on)
        ]

    def input_type(self) -> Any:
        """The annotation of the second parameter, or ``Any``."""
        return _hint(self.function, 1)

    def output_type(self) -> Any:
        """The return annotation, or ``Any``."""
        return _hint(self.function, "return")


@overload
def workflow(function: Callable[[Context, I], Coroutine[Any, Any, R]], /) -> Workflow[I, R]: ...


@overload
def workflow(
    *,
    on: str | On | Sequence[str | On] = (),
    name: str | None = None,
    source: str = "*",
    where: str | None = None,
    key: str | None = None,
    queue: str = "",
    retention: str = "",
) -> Callable[[Callable[[Context, I], Coroutine[Any, Any, R]]], Workflow[I, R]]: ...


def workflow(
    function: Any = None,
    /,
    *,
    on: str | On | Sequence[str | On] = (),
    name: str | None = None,
    source: str = "*",
    where: str | None = None,
    key: str | None = None,
    queue: str = "",
    retention: str = "",
) -> Any:
    """Make a workflow of ``async def f(ctx, input)``.

    ``on``: the event types that start it; ``source``, ``where`` and ``key`` apply to those given as plain strings.
    ``name``: what it is called outside, by default the function's name. ``queue``: where its runs wait for their turn
    unless their start names another; children begin at once, under their parent's permit. ``retention``: the class,
    of those that are declared under ``retention.classes``, that says how long its runs are kept once they have closed,
    where no rule of the configuration fits them. Raises ``Misuse`` when the function has another form.
    """
    wanted = [on] if isinstance(on, (str, On)) else list(on)
    triggers = [one if isinstance(one, On) else On(one, source, where, key) for one in wanted]

    def define(target: Any) -> Workflow[Any, Any]:
        if not inspect.iscoroutinefunction(target):
            raise Misuse(f"{target!r} is not an async function.", cure="Write: async def name(ctx, input): ...")
        required = [
            one
            for one in inspect.signature(target).parameters.values()
            if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
        positional = [
            one
            for one in inspect.signature(target).parameters.values()
            if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
        if len(positional) < 2 or len(required) > 2:
            raise Misuse(
                f"workflow {target.__name__!r} takes {len(required)} arguments; it is given two.",
                cure="Write: async def name(ctx, input): ...",
            )
        return Workflow(target, name or target.__name__, triggers, queue, retention)

    return define if function is None else define(function)


def _version(code: Any) -> str:
    """Changes when the function's code changes, not when it moves in its file."""

    def parts(one: Any) -> bytes:
        inner = b"".join(parts(const) if inspect.iscode(const) else repr(const).encode() for const in one.co_consts)
        return bytes(one.co_code) + repr(one.co_names).encode() + inner

    return digest(parts(code))[:6].hex()


def _hint(function: Any, which: int | str) -> Any:
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError):
        return Any
    if isinstance(which, int):
        names = list(inspect.signature(function).parameters)
        return hints.get(names[which], Any)
    return hints.get(which, Any)
