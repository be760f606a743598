"""The authority: mints, checks, and turns tokens into the grants of runs. One to a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.capability.caveat import PRESENTING, Moment, caveat, check, read
from rco.capability.grant import holds_seal, sealed
from rco.capability.keyring import Keyring
from rco.capability.revoked import Revoked
from rco.capability.scope import Ask, scopes_text
from rco.capability.token import Token, minted, proves, shown_id
from rco.errors import Misuse, Reason, Refused, StoreError
from rco.kit.clock import MICROS, Clock
from rco.kit.ids import Ids

__all__ = ["Authority", "Refusal", "Rights"]


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

    # -- tokens ----------------------------------------------------------------------------------------------------

    def mint(self, scopes: tuple[str, ...], *, namespace: str, ttl_s: float, corr_id: str = "", b3: str = "") -> Token:
        """A new capability for ``scopes`` in ``namespace`` that ends ``ttl_s`` from now; bound to a correlation id and
        to a body when these are given.

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
            caveats = [
                caveat("ns", namespace),
                caveat("aud", self.audience),
                caveat("epoch", self.revoked.epoch(namespace)),
                caveat("act", scopes_text(scopes)),
                caveat("exp", int(now_us / MICROS + ttl_s)),
            ]
            if corr_id:
                caveats.append(caveat("corr", corr_id))
            if b3:
                caveats.append(caveat("body", b3))
        except ValueError as problem:
            raise Misuse(f"{problem}.", cure="See docs/reference/capabilities.md.") from None
        return minted(key.rk, key.kid, f"cap_{self._ids.token(16)}", tuple(caveats))

    def check(self, token: Token, ask: Ask) -> None:
        """Pass when ``token`` allows ``ask`` now.

        The tag is proved before any caveat is looked at. Raises ``Refused``: ``UNAUTH`` for what is not ours or was
        revoked, ``EXPIRED_TOKEN``, ``SCOPE_MISMATCH``; ``StoreError`` when it is not known what was revoked.
        """
        self._prove(token)
        check(token.caveats, ask, self.moment(ask.namespace))

    def _prove(self, token: Token) -> None:
        now_us = self._clock.now_us()
        key = self._ring().find(token.kid)
        if key is None or not key.accepts(now_us):
            raise Refused(Reason.UNAUTH, "cap_key", "The capability was not minted under a key that is in use.")
        if not proves(key.rk, token):
            raise Refused(Reason.UNAUTH, "cap_tag", "The capability was changed, or never minted here.")
        self.revoked.require_fresh()
        if self.revoked.holds(token.id, token.kid):
            raise Refused(Reason.UNAUTH, "cap_revoked", "The capability was revoked.")

    def moment(self, namespace: str) -> Moment:
        """What is known now about ``namespace``, for checking caveats."""
        return Moment(self._clock.now_us() / MICROS, self.audience, self.revoked.epoch(namespace), self._life_max_s)

    # -- grants ----------------------------------------------------------------------------------------------------

    def grant(self, token: Token, ask: Ask, run_id: bytes, scopes: tuple[str, ...] | None = None) -> dict[str, Any]:
        """What the run ``run_id`` that ``token`` starts holds from then on: the token's rights, further narrowed to
        ``scopes`` when these are given. What bound the presenting of the token (its end, its request) has done its
        work and is left out.

        Raises as ``check`` does when the token does not allow ``ask``, the start.
        """
        self.check(token, ask)
        kept = [raw for raw in token.caveats if (pair := read(raw)) is not None and pair[0] not in PRESENTING]
        if scopes is not None:
            kept.append(caveat("act", scopes_text(scopes)))
        key = self._ring().find(token.kid)
        assert key is not None  # check() found it
        return sealed(key, token.id, run_id, tuple(kept))

    def inherited(self, grant: dict[str, Any], parent: bytes, child: bytes) -> dict[str, Any]:
        """The grant of a child: its parent's. One that does not hold is handed on as it is, and holds no more there."""
        key = self._ring().find(str(grant.get("kid")))
        caveats = None if key is None else holds_seal(key, grant, parent)
        return grant if key is None or caveats is None else sealed(key, str(grant["id"]), child, caveats)

    def rights(self, grant: Any, run_id: bytes) -> Rights:
        """What ``grant`` lets the run do. Raises nothing: a grant that does not hold lets it do nothing."""
        if not isinstance(grant, dict):
            return Rights(self, (), "", "", Refusal("cap_missing", _NO_GRANT))
        key = self._ring().find(str(grant.get("kid")))
        if key is None:
            missing = f"the key {str(grant.get('kid'))[:32]!r} of the run's capability is not in the keyring"
            return Rights(self, (), "", "", Refusal("cap_key", f"{missing}; put it back", passing=True))
        caveats = holds_seal(key, grant, run_id)
        if caveats is None:
            broken = "the seal of the run's capability does not hold: its first record was changed"
            return Rights(self, (), "", "", Refusal("cap_seal", broken))
        return Rights(self, caveats, str(grant["id"]), key.kid, None)


_NO_GRANT = "the run holds no capability; grant the scope in capability.grants and start it again"


class Rights:
    """The opened grant of one run."""

    __slots__ = ("_authority", "_broken", "_caveats", "_id", "_kid")

    def __init__(
        self, authority: Authority, caveats: tuple[bytes, ...], id: str, kid: str, broken: Refusal | None
    ) -> None:
        self._authority, self._caveats, self._id, self._kid, self._broken = authority, caveats, id, kid, broken

    @property
    def shown(self) -> str:
        """The capability's id as evidence shows it; empty when there is none."""
        return shown_id(self._id) if self._id else ""

    def refusal(self, ask: Ask) -> Refusal | None:
        """Why ``ask`` is not allowed now, or ``None``. What the run holds never changes; what was revoked does."""
        if self._broken is not None:
            return self._broken
        revoked = self._authority.revoked
        try:
            revoked.require_fresh()
        except StoreError as problem:
            return Refusal("cap_unknowable", problem.message, passing=True)
        if revoked.holds(self._id, self._kid):
            return Refusal("cap_revoked", "the run's capability was revoked")
        try:
            check(self._caveats, ask, self._authority.moment(ask.namespace), ends=False)
        except Refused as refused:
            return Refusal(refused.detail, refused.message.rstrip("."))
        return None
