"""What is taken out of an answer before anything is returned that may be stored.

Headers are kept by an allow-list, fields of JSON are replaced by name, and the secret that was sent is replaced where
the answer repeats it. Text that is no JSON is searched for ``name=value`` and ``name: value``: better than nothing, and
no more than that, so an API that answers with secrets should answer in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["DEPTH_LIMIT", "REDACTED", "Redaction", "TooDeep"]

REDACTED = "[redacted]"
DEPTH_LIMIT = 100
"""Levels of nesting. What is deeper is not looked at, and so not returned."""

KEPT_HEADERS: frozenset[str] = frozenset(
    {
        *("age", "cache-control", "content-language", "content-length", "content-type", "date", "etag", "expires"),
        *("last-modified", "location", "ratelimit", "ratelimit-limit", "ratelimit-policy", "ratelimit-remaining"),
        *("ratelimit-reset", "retry-after", "vary", "x-corr-id", "x-correlation-id", "x-ratelimit-limit"),
        *("x-ratelimit-remaining", "x-ratelimit-reset", "x-request-id"),
    }
)
"""Response headers that are kept; all others are dropped, ``Set-Cookie`` first of all."""

FIELD_NAMES: frozenset[str] = frozenset(
    {
        *("authorization", "proxyauthorization", "cookie", "setcookie", "token", "accesstoken", "refreshtoken"),
        *("idtoken", "authtoken", "sessiontoken", "bearertoken", "jwt", "secret", "clientsecret", "secretkey"),
        *("secretaccesskey", "sharedsecret", "webhooksecret", "signingsecret", "password", "passwd", "pwd"),
        *("passphrase", "passcode", "pin", "otp", "apikey", "apitoken", "xapikey", "privatekey", "accesskey"),
        *("credential", "credentials", "cardnumber", "creditcard", "creditcardnumber", "ccnumber", "pan", "cvv"),
        *("cvv2", "cvc", "cvc2", "cardcvc", "cardcode", "securitycode", "accountnumber", "routingnumber", "iban"),
        *("ssn", "socialsecuritynumber", "taxid", "sessionid"),
    }
)
"""Names of fields whose values are replaced whatever the target says: lower case, without ``-_.`` and spaces."""

_KNOWN_MAX = 4096
_Fate = tuple[str, Callable[[str], str] | None] | None

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_NOISE = str.maketrans("", "", "-_. ")


class TooDeep(ValueError):
    """The value is nested deeper than ``DEPTH_LIMIT``."""


def _plain(name: str) -> str:
    return name.translate(_NOISE).lower()


class Redaction:
    """What one target's answers lose: the default names and those of its ``redact`` list."""

    __slots__ = ("_fates", "_known", "_names", "_text")

    def __init__(self, redact: Iterable[str] = ()) -> None:
        self._names = FIELD_NAMES | {_plain(name) for name in redact}
        # Answers of one API use the same few names; what a name means is found out once. Bounded: names are theirs.
        self._known: dict[str, bool] = {}
        self._fates: dict[str, _Fate] = {}
        self._text: re.Pattern[str] | None = None

    def value(self, value: Any) -> Any:
        """``value`` with the named fields replaced. It is plain data as a JSON decoder gives it, changed in place.

        Integers that MessagePack cannot carry (beyond 64 bits) become their decimal text. Raises ``TooDeep``.
        """
        if not isinstance(value, (dict, list)):
            return _fit(value)
        known = self._known
        level: list[Any] = [value]
        for _ in range(DEPTH_LIMIT):
            below: list[Any] = []
            for holder in level:
                fields = type(holder) is dict
                pairs: Iterable[tuple[Any, Any]] = holder.items() if fields else enumerate(holder)
                for key, inner in pairs:
                    if fields and inner is not None and (known[key] if key in known else self._named(key)):
                        holder[key] = REDACTED
                        continue
                    kind = type(inner)
                    if kind is dict or kind is list:
                        below.append(inner)
                    elif kind is int and not _INT_MIN <= inner <= _INT_MAX:
                        holder[key] = str(inner)
            if not below:
                return value
            level = below
        raise TooDeep(f"nested deeper than {DEPTH_LIMIT} levels")

    def text(self, text: str) -> str:
        """``text`` without the values that stand behind a redacted name and ``=`` or ``:``."""
        if self._text is None:
            self._text = _pairs(self._names)
        return self._text.sub(rf"\1{REDACTED}", text)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that are kept, names in lower case; of a repeated one the first."""
        kept: dict[str, str] = {}
        fates = self._fates
        for name, value in headers.items():
            fate = fates[name] if name in fates else self._fate(name)
            if fate is not None and fate[0] not in kept:
                lower, shown = fate
                kept[lower] = value if shown is None else shown(value)
        return kept

    def _fate(self, name: str) -> _Fate:
        """Of a header: ``None`` when it is dropped, else its name in lower case and what is shown of its value."""
        lower = name.lower()
        fate: _Fate = None
        if lower in KEPT_HEADERS:
            fate = (lower, _bare_location if lower == "location" else None)
            if self._named(lower):
                fate = (lower, _hidden)
        if len(self._fates) < _KNOWN_MAX:
            self._fates[name] = fate
        return fate

    def _named(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = _plain(name) in self._names
            if len(self._known) < _KNOWN_MAX:
                self._known[name] = known
        return known


def _pairs(names: Iterable[str]) -> re.Pattern[str]:
    spelled = "|".join("[-_. ]?".join(map(re.escape, name)) for name in sorted(names, key=len, reverse=True))
    return re.compile(
        rf"""(?i)(?<![A-Za-z0-9])((?:{spelled})["']?[ \t]{{0,4}}[:=][ \t]{{0,4}})"""
        r"""("[^"\r\n]*"?|'[^'\r\n]*'?|(?:(?:bearer|basic)[ \t]+)?[^\s,;&"'}<]+)"""
    )


def _fit(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX else value


def _hidden(_: str) -> str:
    return REDACTED


def _bare_location(location: str) -> str:
    """A ``Location`` without query, fragment and userinfo, in which tokens travel."""
    bare = location.partition("?")[0].partition("#")[0]
    scheme, mark, rest = bare.partition("//")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}" if mark else bare
