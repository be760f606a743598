"""The authority: mints, checks, and turns tokens into the grants of runs. One to a node."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from rco.capability.caveat import (
    Moment,
    Read,
    caveat,
    check,
    check_read,
    fresh,
    lasting,
    namespace_of,
    read,
    without_purpose,
)
from rco.capability.grant import holds_seal, sealed
from rco.capability.keyring import Key, Keyring
from rco.capability.revoked import Revoked
from rco.capability.scope import Ask, scopes_text
from rco.capability.token import Token, minted, parse, proves, shown_id
from rco.errors import Misuse, Reason, Refused, StoreError
from rco.kit.clock import MICROS, Clock
from rco.kit.digest import digest
from rco.kit.ids import Ids

__all__ = ["Authority", "Proved", "Refusal", "Rights"]

READ_MAX = 1024
"""Texts of capabilities whose meaning is remembered."""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why a call may not leave. ``passing``: asking again later may find otherwise."""

    reason: str
    message: str
    passing: bool = False


class Authority:
    """Everything that needs a root key happens in here. ``ring`` is asked each time, so a rotation counts at once."""

    def __init__(
        self,
        ring: Callable[[], Keyring],
        revoked: Revoked,
        *,
        clock: Clock,
        ids: Ids,
        audience: str,
        life_max_s: float,
    ) -> None:
        self._ring, self.revoked, self._clock, self._ids = ring, revoked, clock, ids
        self.audience, self._life_max_s = audience, life_max_s
        self._read: dict[bytes, tuple[Token, bytes, tuple[Read, ...]]] = {}

    # -- tokens ----------------------------------------------------------------------------------------------------

    def mint(self, scopes: tuple[str, ...], *, namespace: str, ttl_s: float, corr_id: str = "", b3: str = "") -> Proved:
        """A new capability for ``scopes`` in ``namespace`` that ends ``ttl_s`` from now; bound to a correlation id and
        to a body when these are given. Its tag was made here this moment, so it counts as proved.

        Raises ``Misuse`` for scopes or a life that cannot be, ``StoreError`` when no key may be used now.
        """
        now_us = self._clock.now_us()
        if not 0 < ttl_s <= self._life_max_s:
            raise Misuse(
                f"a life of {ttl_s:g} s; this service allows up to {self._life_max_s:g} s.", cure="Ask for less."
            )
        self.revoked.require_fresh()
        key = self._ring().minting(now_us, self.revoked.kids)
        if key is None:
            raise StoreError("no root key mints now.", cure="rco keys rotate adds one.")
        try:
            standing, known = _usual(namespace, self.audience, self.revoked.epoch(namespace), scopes)
            bound = [fresh("exp", int(now_us / MICROS + ttl_s))]
            if corr_id:
                bound.append(fresh("corr", corr_id))
            if b3:
                bound.append(fresh("body", b3))
        except ValueError as problem:
            raise Misuse(f"{problem}.", cure="See docs/reference/capabilities.md.") from None
        caveats = standing + tuple([raw for raw, _ in bound])
        token = minted(key.rk, key.kid, f"cap_{self._ids.token(16)}", caveats)
        return Proved(self, key, token, known + tuple([value for _, value in bound]))

    def check(self, token: Token, ask: Ask) -> None:
        """Pass when ``token`` allows ``ask`` now. Raises as ``proved`` and ``Proved.check`` do."""
        self.proved(token).check(ask)

    def proved(self, token: Token) -> Proved:
        """``token`` once its tag was found right and it is not revoked; nothing looks at a caveat before.

        Raises ``Refused(UNAUTH)`` for what is not ours, was changed or revoked, ``StoreError`` when it is not known
        what was revoked.
        """
        key = self._key_of(token)
        if not proves(key.rk, token):
            raise Refused(Reason.UNAUTH, "cap_tag", "The capability was changed, or never minted here.")
        return self._standing(key, token)

    def read(self, text: str) -> Proved:
        """The capability of a text form, as ``proved(parse(text))``, with what both raise.

        One whose tag was found right is neither parsed nor is its tag computed when it comes again under the same key.
        Everything that may have changed since is asked anew: the key's time, what was revoked, and by its holder all
        caveats. What was refused is not remembered: a guesser fills nothing. Found by its digest, so that the time of
        a look says nothing of what others hold.
        """
        name = digest(text.encode())
        held = self._read.get(name)
        if held is not None:
            token, rk, known = held
            key = self._key_of(token)
            if key.rk == rk:
                return self._standing(key, token, known)
        proved = self.proved(parse(text))
        if len(self._read) >= READ_MAX:
            self._read.pop(next(iter(self._read)))
        self._read[name] = proved.token, proved.key.rk, proved.known
        return proved

    def _key_of(self, token: Token) -> Key:
        key = self._ring().find(token.kid)
        if key is None or not key.accepts(self._clock.now_us()):
            raise Refused(Reason.UNAUTH, "cap_key", "The capability was not minted under a key that is in use.")
        return key

    def _standing(self, key: Key, token: Token, known: tuple[Read, ...] | None = None) -> Proved:
        """``token``, whose tag holds under ``key``, unless it was revoked."""
        self.revoked.require_fresh()
        if self.revoked.holds(token.id, token.kid):
            raise Refused(Reason.UNAUTH, "cap_revoked", "The capability was revoked.")
        return Proved(self, key, token, known)

    def moment(self, namespace: str) -> Moment:
        """What is known now about ``namespace``, for checking caveats."""
        return Moment(self._clock.now_us() / MICROS, self.audience, self.revoked.epoch(namespace), self._life_max_s)

    # -- grants ----------------------------------------------------------------------------------------------------

    def inherited(self, grant: dict[str, Any], parent: bytes, child: bytes) -> dict[str, Any]:
        """The grant of a child: its parent's. One that does not hold, or was revoked, is handed on as it is, and holds
        no more there: so no run that begins later than a revocation can hold what it is about."""
        if self.revoked.holds(str(grant.get("id")), str(grant.get("kid"))):
            return grant
        key = self._ring().find(str(grant.get("kid")))
        caveats = None if key is None else holds_seal(key, grant, parent)
        return grant if key is None or caveats is None else sealed(key, str(grant["id"]), child, caveats)

    def rights(self, grant: Any, run_id: bytes) -> Rights:
        """What ``grant`` lets the run do. Raises nothing: a grant that does not hold lets it do nothing."""
        return Rights(self, grant, run_id)

    def opened(self, grant: Any, run_id: bytes) -> tuple[str, str, tuple[bytes, ...]] | Refusal:
        """Id, kid and caveats of a grant whose seal holds."""
        if not isinstance(grant, dict):
            return Refusal("cap_missing", "the run holds no capability")
        kid = str(grant.get("kid"))[:64]
        key = self._ring().find(kid)
        if key is None:
            lost = f"the key {kid!r} of the run's capability is not in the keyring; put it back"
            return Refusal("cap_key", lost, passing=True)
        caveats = holds_seal(key, grant, run_id)
        if caveats is None:
            return Refusal("cap_seal", "the seal of the run's capability does not hold: its first record was changed")
        return str(grant["id"]), kid, caveats


class Proved:
    """A token whose tag was proved a moment ago. Not for keeping: it is not looked up again what was revoked."""

    __slots__ = ("_authority", "_caveats", "key", "known", "token")

    def __init__(self, authority: Authority, key: Key, token: Token, known: tuple[Read, ...] | None = None) -> None:
        """``known``: what its caveats read as, where that is known already."""
        self._authority, self.key, self.token, self._caveats = authority, key, token, token.caveats
        self.known = read(token.caveats) if known is None else known

    @property
    def id(self) -> str:
        return self.token.id

    @property
    def key_version(self) -> int:
        """The version of the root key that it was minted with."""
        return self.key.version

    @property
    def namespace(self) -> str:
        """The namespace that it is for."""
        return namespace_of(self._caveats)

    def check(self, ask: Ask) -> None:
        """Pass when every caveat holds for ``ask``. Raises ``Refused``: ``EXPIRED_TOKEN`` or ``SCOPE_MISMATCH``."""
        check_read(self.known, ask, self._authority.moment(ask.namespace))

    def check_life(self) -> None:
        """Pass when it is meant for this service and this time, whatever it is for. Raises as ``check``."""
        check(
            without_purpose(self._caveats),
            Ask(kind="", namespace=self.namespace),
            self._authority.moment(self.namespace),
        )

    def grant(self, ask: Ask, run_id: bytes, *narrowed: tuple[str, ...]) -> dict[str, Any]:
        """What the run ``run_id`` that the token starts holds from then on: the token's rights, further narrowed to
        each of the lists of scopes. What bound the presenting of the token (its end, its request) has done its work
        and is left out.

        Raises as ``check`` does when the token does not allow ``ask``, the start.
        """
        self.check(ask)
        more = tuple(_act(scopes) for scopes in narrowed)
        return sealed(self.key, self.id, run_id, lasting(self._caveats) + more)


@lru_cache(maxsize=1024)
def _usual(
    namespace: str, audience: str, epoch: int, scopes: tuple[str, ...]
) -> tuple[tuple[bytes, ...], tuple[Read, ...]]:
    """The caveats that come again with each token for the same, and what they read as."""
    caveats = (caveat("ns", namespace), caveat("aud", audience), caveat("epoch", epoch), _act(scopes))
    return caveats, read(caveats)


@lru_cache(maxsize=1024)
def _act(scopes: tuple[str, ...]) -> bytes:
    return caveat("act", scopes_text(scopes))


class Rights:
    """The grant of one run, opened at its first question."""

    __slots__ = ("_authority", "_grant", "_opened", "_run_id")

    def __init__(self, authority: Authority, grant: Any, run_id: bytes) -> None:
        self._authority, self._grant, self._run_id = authority, grant, run_id
        self._opened: tuple[str, str, tuple[bytes, ...]] | None = None

    @property
    def shown(self) -> str:
        """The capability's id as evidence shows it; empty when there is none that holds."""
        return shown_id(self._opened[0]) if self._opened is not None else ""

    def refusal(self, ask: Ask) -> Refusal | None:
        """Why ``ask`` is not allowed now, or ``None``. What the run holds never changes; what was revoked does."""
        authority = self._authority
        if self._opened is None:
            opened = authority.opened(self._grant, self._run_id)
            if isinstance(opened, Refusal):
                return opened
            self._opened = opened
        id, kid, caveats = self._opened
        revoked = authority.revoked
        try:
            revoked.require_fresh()
        except StoreError as problem:
            return Refusal("cap_unknowable", problem.message.rstrip("."), passing=True)
        if revoked.holds(id, kid):
            return Refusal("cap_revoked", "the run's capability was revoked")
        try:
            check(caveats, ask, authority.moment(ask.namespace), ends=False)
        except Refused as refused:
            return Refusal(refused.detail, refused.message.rstrip("."))
        return None
