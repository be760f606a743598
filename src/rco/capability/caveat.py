"""Caveats: the conditions in a token. All of them must hold, repeated ones too; one that is not known holds never.

A caveat is ``name=value`` in printable ASCII.

=========== ============================================================ =================================
name        holds when                                                   value
=========== ============================================================ =================================
``act``     one of its scopes covers what is asked                       scopes with one space between
``exp``     it is earlier than this; every token needs one               seconds since the epoch
``nbf``     it is this time or later                                     seconds since the epoch
``ns``      it is asked within this namespace                            a namespace
``aud``     this service goes by this name                               a name
``epoch``   the namespace's epoch has not been raised past it            a whole number
``corr``    it is asked under this correlation id                        a correlation id
``body``    the action's body has this address                           ``b3:`` and 64 hexadecimal digits
=========== ============================================================ =================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from rco.capability.scope import Ask, Scope, covers, parse_scopes
from rco.errors import Reason, Refused

__all__ = [
    "Moment",
    "Read",
    "caveat",
    "check",
    "check_read",
    "fresh",
    "lasting",
    "namespace_of",
    "read",
    "without_purpose",
]

_PRESENTING = frozenset({"exp", "nbf", "corr", "body"})
"""Caveats that say when and with what a token may be presented; the others say what it allows."""
_PURPOSE = frozenset({"act", "corr", "body"})
_KNOWN = frozenset({"act", "exp", "nbf", "ns", "aud", "epoch", "corr", "body"})
_VALUE_CHARS = 2040
_FORM = re.compile(rb"([a-z]{1,16})=([\x20-\x7e]{0,%d})" % _VALUE_CHARS)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_B3 = re.compile(r"b3:[0-9a-f]{64}")
_Value = str | int | tuple[Scope, ...] | None
"""As it is compared; ``None`` for what cannot be read."""
Read = tuple[str, _Value]
"""A caveat as it is checked: its name and its value."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What the one who checks knows besides what is asked."""

    now_s: float
    audience: str
    epoch: int
    """Of the namespace that is asked in."""
    life_max_s: float
    """No token is good that ends later than this from now."""


@lru_cache(maxsize=2048)
def _parsed(raw: bytes) -> Read:
    """Name and value of a caveat; the name is empty when it is none that is known. Pure: most come again and again."""
    found = _FORM.fullmatch(raw)
    name = "" if found is None else found[1].decode()
    return (name, _value(name, found[2].decode())) if found is not None and name in _KNOWN else ("", None)


def _value(name: str, text: str) -> _Value:
    match name:
        case "exp" | "nbf" | "epoch":
            return int(text) if _NUMBER.fullmatch(text) else None
        case "ns" | "aud" | "corr":
            return text if _NAME.fullmatch(text) else None
        case "body":
            return text if _B3.fullmatch(text) else None
        case _:
            try:
                return parse_scopes(text)
            except ValueError:
                return None


def caveat(name: str, value: str | int) -> bytes:
    """One caveat. Raises ``ValueError`` for what could not be read back or would hold never."""
    raw = f"{name}={value}".encode()
    if _parsed(raw)[1] is None:
        raise ValueError(f"{name}={str(value)[:64]!r} is not a caveat; see docs/reference/capabilities.md")
    return raw


def fresh(name: str, value: str | int) -> tuple[bytes, Read]:
    """As ``caveat`` for one of those that bind the presenting of a token, with what it reads as: its value comes once
    and is not looked for again."""
    text = str(value)
    found = _value(name, text) if name in _PRESENTING else None
    if found is None:
        raise ValueError(f"{name}={text[:64]!r} is not a caveat; see docs/reference/capabilities.md")
    return f"{name}={text}".encode("ascii"), (name, found)


def read(caveats: Iterable[bytes]) -> tuple[Read, ...]:
    """What ``caveats`` read as, for ``check_read``."""
    return tuple([_parsed(raw) for raw in caveats])


def namespace_of(caveats: Iterable[bytes]) -> str:
    """The namespace of the first ``ns``; the usual one where there is none. Whether it holds is for ``check``."""
    return next((str(value) for name, value in map(_parsed, caveats) if name == "ns" and value), "default")


def without_purpose(caveats: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those that say when and where, without those that say what for."""
    return tuple(raw for raw in caveats if _parsed(raw)[0] not in _PURPOSE)


def lasting(caveats: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those that say what is allowed, without those that say when and with what a token may be presented."""
    return tuple(raw for raw in caveats if _parsed(raw)[0] not in _PRESENTING)


def check(caveats: Iterable[bytes], ask: Ask, moment: Moment, *, ends: bool = True) -> None:
    """Pass when every caveat holds. Call it only with caveats whose tag was proved.

    ``ends``: one of them must be ``exp``. Raises ``Refused``: ``EXPIRED_TOKEN`` for what is about time, else
    ``SCOPE_MISMATCH``; the detail names the caveat.
    """
    check_read(read(caveats), ask, moment, ends=ends)


def check_read(caveats: Iterable[Read], ask: Ask, moment: Moment, *, ends: bool = True) -> None:
    """``check`` of caveats that were read before."""
    ended = False
    for name, value in caveats:
        if name == "act":
            holds = isinstance(value, tuple) and covers(value, ask)
        elif name == "ns":
            holds = value == ask.namespace
        elif name == "aud":
            holds = value == moment.audience
        elif name == "corr":
            holds = value == ask.corr_id
        elif name == "body":
            holds = value == ask.b3
        elif not name:
            raise Refused(Reason.SCOPE_MISMATCH, "cap_caveat_unknown", "The capability has a caveat that is not known.")
        elif not isinstance(value, int):
            holds = False
        elif name == "exp":
            ended, holds = True, 0 < value - moment.now_s <= moment.life_max_s
        elif name == "nbf":
            holds = moment.now_s >= value
        else:
            holds = value >= moment.epoch
        if not holds:
            raise _refused(name, _problem(name, value, ask, moment))
    if ends and not ended:
        raise _refused("exp", "has no end; every one needs exp")


def _refused(name: str, problem: str) -> Refused:
    reason = Reason.EXPIRED_TOKEN if name in ("exp", "nbf") else Reason.SCOPE_MISMATCH
    return Refused(reason, f"cap_{name}", f"The capability {problem}.")


def _problem(name: str, value: _Value, ask: Ask, moment: Moment) -> str:
    """Why the caveat does not hold, in words."""
    if value is None:
        return f"has a caveat {name} that cannot be read"
    match name:
        case "act":
            return f"does not allow {ask.action[:200]}"
        case "exp" if isinstance(value, int) and moment.now_s < value:
            return "ends later than this service lets any"
        case "exp":
            return "has expired"
        case "nbf":
            return "is not valid yet"
        case "ns":
            return f"is for another namespace than {ask.namespace}"
        case "aud":
            return f"is not meant for {moment.audience}"
        case "epoch":
            return "is older than its namespace's epoch"
        case "corr":
            return "is bound to another request"
        case _:
            return "is bound to another body"
