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

import msgspec

from rco.capability.scope import Ask, covers, parse_scopes
from rco.errors import Reason, Refused

__all__ = ["PRESENTING", "Moment", "caveat", "check", "read", "value_of"]

_KNOWN = frozenset({"act", "exp", "nbf", "ns", "aud", "epoch", "corr", "body"})
PRESENTING = frozenset({"exp", "nbf", "corr", "body"})
"""Caveats that say when and with what a token may be presented; the others say what it allows."""
_FORM = re.compile(rb"([a-z]{1,16})=([\x20-\x7e]{0,2040})")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_B3 = re.compile(r"b3:[0-9a-f]{64}")


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What the one who checks knows besides what is asked."""

    now_s: float
    audience: str
    epoch: int
    """Of the namespace that is asked in."""
    life_max_s: float
    """No token is good that ends later than this from now."""


def caveat(name: str, value: str | int) -> bytes:
    """One caveat. Raises ``ValueError`` for what could not be read back or would hold never."""
    raw = f"{name}={value}".encode()
    if _FORM.fullmatch(raw) is None or not _readable(name, str(value)):
        raise ValueError(f"{name}={str(value)[:64]!r} is not a caveat; see docs/reference/capabilities.md")
    return raw


def read(raw: bytes) -> tuple[str, str] | None:
    """Name and value, or ``None`` when it has not the form of a caveat."""
    found = _FORM.fullmatch(raw)
    return None if found is None else (found[1].decode(), found[2].decode())


def value_of(caveats: Iterable[bytes], name: str) -> str:
    """The value of the first caveat ``name``, empty when there is none."""
    return next((pair[1] for pair in map(read, caveats) if pair is not None and pair[0] == name), "")


def check(caveats: Iterable[bytes], ask: Ask, moment: Moment, *, ends: bool = True) -> None:
    """Pass when every caveat holds. Call it only with caveats whose tag was proved.

    ``ends``: one of them must be ``exp``. Raises ``Refused``: ``EXPIRED_TOKEN`` for what is about time, else
    ``SCOPE_MISMATCH``; the detail names the caveat.
    """
    ended = False
    for raw in caveats:
        pair = read(raw)
        if pair is None or pair[0] not in _KNOWN:
            raise Refused(Reason.SCOPE_MISMATCH, "cap_caveat_unknown", "The capability has a caveat that is not known.")
        name, value = pair
        ended = ended or name == "exp"
        problem = _problem(name, value, ask, moment)
        if problem:
            raise _refused(name, problem)
    if ends and not ended:
        raise _refused("exp", "has no end; every one needs exp")


def _refused(name: str, problem: str) -> Refused:
    reason = Reason.EXPIRED_TOKEN if name in ("exp", "nbf") else Reason.SCOPE_MISMATCH
    return Refused(reason, f"cap_{name}", f"The capability {problem}.")


def _problem(name: str, value: str, ask: Ask, moment: Moment) -> str:
    """Why the caveat does not hold, or nothing when it does."""
    if not _readable(name, value):
        return "has a caveat that cannot be read"
    match name:
        case "act":
            return "" if covers(parse_scopes(value), ask) else f"does not allow {ask.action[:200]}"
        case "exp":
            return _end_problem(int(value), moment)
        case "nbf":
            return "" if moment.now_s >= int(value) else "is not valid yet"
        case "ns":
            return "" if value == ask.namespace else f"is for another namespace than {ask.namespace}"
        case "aud":
            return "" if value == moment.audience else f"is not meant for {moment.audience}"
        case "epoch":
            return "" if int(value) >= moment.epoch else "is older than its namespace's epoch"
        case "corr":
            return "" if value == ask.corr_id else "is bound to another request"
        case _:
            return "" if value == ask.b3 else "is bound to another body"


def _end_problem(end_s: int, moment: Moment) -> str:
    if moment.now_s >= end_s:
        return "has expired"
    return "" if end_s - moment.now_s <= moment.life_max_s else "ends later than this service lets any"


def _readable(name: str, value: str) -> bool:
    match name:
        case "exp" | "nbf" | "epoch":
            return _NUMBER.fullmatch(value) is not None
        case "ns" | "aud" | "corr":
            return _NAME.fullmatch(value) is not None
        case "body":
            return _B3.fullmatch(value) is not None
        case "act":
            try:
                parse_scopes(value)
            except ValueError:
                return False
            return True
        case _:
            return False
