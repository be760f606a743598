"""The keyring: root keys by name, from when each mints and until when its tokens are taken.

A key is *waiting* until ``mint_from``, so that every node has it before one uses it; then *minting*, until the next one
takes over; then *accepting* until ``accept_until``; then *retired*: no token of it is good any more, but runs that
began under it keep their rights, for as long as it stays in the ring. ``docs/reference/capabilities.md`` has the form
in which a ring is written down.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from rco.capability.token import root_key
from rco.errors import ConfigInvalid
from rco.kit.clock import iso, parse_iso
from rco.kit.digest import derived_key

__all__ = ["FORMAT", "Key", "KeyState", "Keyring", "ring_of", "ring_text"]

FORMAT = "rco-keyring/1"
KEYS_MAX = 64
WRAP_CONTEXT = "rco 2026-11 namespace key wrap v1"
SEAL_CONTEXT = "rco 2026-11 run grant seal v1"
_HEX = frozenset("0123456789abcdef")


Stage = Literal["waiting", "minting", "accepting", "retired"]


class KeyState(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret, as lists show it. ``state``: waiting, minting, accepting, retired."""

    kid: str
    version: int
    state: Stage
    created_at: str
    mint_from: str
    accept_until: str | None


class Key:
    """One root key. Holds derived keys only; ``repr`` shows neither."""

    __slots__ = ("accept_until_us", "created_us", "kid", "mint_from_us", "rk", "seal_key", "version", "wrap_key")

    def __init__(
        self, kid: str, version: int, secret: bytes, created_us: int, mint_from_us: int, accept_until_us: int | None
    ) -> None:
        self.kid, self.version = kid, version
        self.created_us, self.mint_from_us, self.accept_until_us = created_us, mint_from_us, accept_until_us
        self.rk = root_key(secret)
        self.seal_key = derived_key(SEAL_CONTEXT, secret)
        self.wrap_key = derived_key(WRAP_CONTEXT, secret)

    def __repr__(self) -> str:
        return f"Key({self.kid!r}, version {self.version})"

    def accepts(self, now_us: int) -> bool:
        """Whether its tokens are good now."""
        return self.accept_until_us is None or now_us < self.accept_until_us


class Keyring:
    """An immutable set of keys. A change is another ring."""

    __slots__ = ("_by_kid", "_newest_first")

    def __init__(self, keys: Iterable[Key]) -> None:
        """Raises ``ConfigInvalid`` when it holds none, too many, or two of one name."""
        every = list(keys)
        self._by_kid = {key.kid: key for key in every}
        self._newest_first = sorted(every, key=lambda key: (key.mint_from_us, key.version), reverse=True)
        if not 0 < len(every) <= KEYS_MAX or len(self._by_kid) != len(every):
            raise ConfigInvalid(
                f"the keyring holds {len(every)} keys with {len(self._by_kid)} names",
                cure=f"It needs 1 to {KEYS_MAX}, each with a name of its own: rco keys rotate makes one.",
            )

    def minting(self, now_us: int, withdrawn: frozenset[str] | set[str] = frozenset()) -> Key | None:
        """The newest key whose time to mint has come and that is not ``withdrawn``; ``None`` when there is none."""
        for key in self._newest_first:
            if key.mint_from_us <= now_us and key.accepts(now_us) and key.kid not in withdrawn:
                return key
        return None

    def find(self, kid: str) -> Key | None:
        return self._by_kid.get(kid)

    def kids(self) -> set[str]:
        return set(self._by_kid)

    def states(self, now_us: int) -> list[KeyState]:
        """Every key, newest first."""
        minting = self.minting(now_us)
        return [
            KeyState(
                kid=key.kid,
                version=key.version,
                state=_state(key, minting, now_us),
                created_at=iso(key.created_us),
                mint_from=iso(key.mint_from_us),
                accept_until=None if key.accept_until_us is None else iso(key.accept_until_us),
            )
            for key in self._newest_first
        ]


def _state(key: Key, minting: Key | None, now_us: int) -> Stage:
    if not key.accepts(now_us):
        return "retired"
    if key.mint_from_us > now_us:
        return "waiting"
    return "minting" if key is minting else "accepting"


class Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key as it stands in a ring's text. ``repr`` would show the secret, so it is kept short."""

    kid: str
    version: int
    secret: str
    created_at: str
    mint_from: str
    accept_until: str | None = None

    def __repr__(self) -> str:
        return f"Written({self.kid!r})"


class _Ring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    keys: list[Written]


def written(text: str, where: str) -> list[Written]:
    """The keys of a ring's text. Raises ``ConfigInvalid`` that names ``where`` and never what is in it."""
    try:
        ring = msgspec.json.decode(text, type=_Ring)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        ring = None
    if ring is None or ring.format != FORMAT:
        raise ConfigInvalid(f"{where} is not a keyring ({FORMAT})", cure="Make one with rco keys rotate.")
    return ring.keys


def ring_of(text: str, where: str) -> Keyring:
    """The ring that ``text`` is. Raises ``ConfigInvalid`` that names ``where``, never what is in it."""
    return Keyring([_key(one, where) for one in written(text, where)])


def ring_text(keys: list[Written]) -> str:
    """The text of a ring: JSON, one line a key."""
    lines = ",\n  ".join(msgspec.json.encode(key).decode() for key in keys)
    return f'{{"format":"{FORMAT}","keys":[\n  {lines}\n]}}\n'


def _key(one: Written, where: str) -> Key:
    if len(one.secret) != 64 or not _HEX.issuperset(one.secret):
        raise ConfigInvalid(f"{where}: the secret of key {one.kid!r} is not 64 hexadecimal digits")
    try:
        times = [parse_iso(one.created_at), parse_iso(one.mint_from)]
        until = None if one.accept_until is None else parse_iso(one.accept_until)
    except ValueError as problem:
        raise ConfigInvalid(f"{where}: a time of key {one.kid!r} is wrong: {problem}") from None
    return Key(one.kid, one.version, bytes.fromhex(one.secret), times[0], times[1], until)
