"""Versions of an application's code, and how a run says which one it is pinned to.

``version`` of a run's row and of its START record is either a *pin*, an ``@`` and the name of the application's
version, or, where no version was configured, a digest of the workflow's own code, which is said for people and binds
nobody.
"""

from __future__ import annotations

import re

__all__ = ["NAME_MAX", "PIN", "is_name", "is_pin", "named", "pin"]

PIN = "@"
NAME_MAX = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def is_name(text: str) -> bool:
    """Whether a version may be named so: letters, digits, ``.``, ``_``, ``+``, ``-``, at most ``NAME_MAX``."""
    return _NAME.fullmatch(text) is not None


def pin(name: str) -> str:
    """What stands in a run that is pinned to the version ``name``."""
    return PIN + name


def is_pin(version: str) -> bool:
    """Whether a run of this ``version`` goes on only where that version is."""
    return version.startswith(PIN)


def named(version: str) -> str:
    """The version for people: the name that a pin holds, or the digest as it is."""
    return version.removeprefix(PIN)
