"""Who may do what, and where: grants by role, tokens to principals, principals to namespaces.

A token is 32 random bytes in hexadecimal. The store holds only its keyed digest, so a copy of the database opens no
door. A lookup by digest takes no time that depends on the token: what is compared is its digest, which a guesser
cannot steer.
"""

from __future__ import annotations

import hmac

import msgspec

from rco.capability.authority import Authority, Proved
from rco.capability.token import TEXT_PREFIX, shown_id
from rco.errors import Forbidden, Reason, Refused
from rco.kit.clock import Clock
from rco.kit.digest import digest, keyed_digest
from rco.kit.ids import Ids
from rco.model.principal import EVERYWHERE, Principal, Role
from rco.store.contract.reader import Principals

__all__ = ["Access", "Bearer", "mint_token", "require", "require_everywhere", "spaces", "token_digest"]

TOKEN_BYTES_MAX = 512
NAMESPACE_CHARS_MAX = 63
CACHE_S = 5.0
CACHED_MAX = 256
_RANK = {role: rank for rank, role in enumerate(Role)}
# Separates these digests from every other use of BLAKE3; the tokens are random, so no secret key is needed.
_CONTEXT = digest(b"rco control api token v1")


class Bearer(Principal, frozen=True, kw_only=True):
    """Somebody who shows a capability instead of a token of their own. Has no role: only what the capability says.

    ``proved`` is the capability, whose tag was found right; it is good for the request that brought it.
    """

    proved: Proved


def require(principal: Principal, role: Role) -> None:
    """Pass when ``principal`` holds ``role`` or a higher one. Raises ``Forbidden`` else."""
    if isinstance(principal, Bearer):
        raise Forbidden(
            "a capability opens only what its scopes name, and this is none of it.",
            cure=f"Use the token of a principal with the role {role.value}.",
        )
    if _RANK[principal.role] < _RANK[role]:
        raise Forbidden(
            f"{principal.name!r} is {principal.role.value}; this needs {role.value}.",
            cure="Ask an administrator, or use a token with that role.",
        )


def require_everywhere(principal: Principal, role: Role) -> None:
    """Pass when ``principal`` holds ``role`` over all namespaces, for what belongs to none. Raises ``Forbidden``."""
    require(principal, role)
    if not principal.everywhere:
        raise Forbidden(
            f"{principal.name!r} is bound to {', '.join(spaces(principal))}; this concerns every namespace.",
            cure="Use the token of a principal of all namespaces.",
        )


def spaces(principal: Principal) -> list[str]:
    """The namespaces that the principal may enter by name."""
    return sorted({principal.namespace, *principal.namespaces})


def token_digest(token: str) -> bytes:
    """The 32 bytes under which the store knows ``token``."""
    return keyed_digest(_CONTEXT, token.encode())


def mint_token(ids: Ids) -> str:
    """A new token: 64 hexadecimal digits from 32 random bytes."""
    return ids.token(32)


class Access:
    """Turns bearer tokens into principals.

    What was found is remembered for ``CACHE_S`` seconds, so a token that is taken away works at most that much longer
    on this node. What was not found is not remembered: a guesser fills nothing.
    """

    __slots__ = ("_authority", "_clock", "_known", "_principals")

    def __init__(self, principals: Principals, clock: Clock, authority: Authority | None = None) -> None:
        """``authority`` proves capabilities that are shown instead of tokens; without it there are none."""
        self._principals, self._clock, self._authority = principals, clock, authority
        self._known: dict[bytes, tuple[float, bytes, Principal]] = {}

    async def principal(self, authorization: str | None, namespace: str | None = None) -> Principal:
        """The principal behind an ``Authorization`` header (RFC 6750, ``Bearer TOKEN``), in the namespace it asks for;
        without one, in its own.

        Raises ``Refused``: UNAUTH for a missing, malformed or unknown token and for one that has expired, the details
        of which are for the log only; SCOPE_MISMATCH for a namespace that the principal is not bound to, whether there
        is one of that name or not.
        """
        principal = await self._proved(authorization)
        if not namespace or namespace == principal.namespace:
            return principal
        if not principal.may_enter(namespace) or namespace == EVERYWHERE or len(namespace) > NAMESPACE_CHARS_MAX:
            raise Refused(Reason.SCOPE_MISMATCH, "namespace_mismatch", "The token is not bound to that namespace.")
        # As it is stored it is bound to its own one; that must not be lost by asking for another.
        bound = tuple(dict.fromkeys((*principal.namespaces, principal.namespace)))
        return msgspec.structs.replace(principal, namespace=namespace, namespaces=bound)

    async def _proved(self, authorization: str | None) -> Principal:
        if not authorization:
            raise Refused(Reason.UNAUTH, "token_missing", "A bearer token is needed.")
        scheme, _, token = authorization.partition(" ")
        if self._authority is not None and scheme.lower() == "bearer" and token.startswith(TEXT_PREFIX):
            proved = self._authority.read(token)
            shown = shown_id(proved.id)
            return Bearer(
                principal_id=f"capability:{shown}",
                name=f"capability {shown}",
                role=Role.VIEWER,
                namespace=proved.namespace,
                proved=proved,
            )
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_BYTES_MAX or not token.isascii():
            raise Refused(Reason.UNAUTH, "token_malformed", "The Authorization header is not a bearer token.")
        sought = token_digest(token)
        now = self._clock.monotonic()
        held = self._known.get(sought)
        if held is not None and held[0] > now and hmac.compare_digest(held[1], sought):
            return self._lasting(held[2])
        found = await self._principals.principal(sought)
        if found is None:
            self._known.pop(sought, None)
            raise Refused(Reason.UNAUTH, "token_unknown", "The bearer token is not known.")
        if len(self._known) >= CACHED_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[sought] = (now + CACHE_S, sought, found)
        return self._lasting(found)

    def _lasting(self, principal: Principal) -> Principal:
        if principal.expires_us is not None and principal.expires_us <= self._clock.now_us():
            raise Refused(Reason.UNAUTH, "token_expired", "The bearer token is not known.")
        return principal

    def forget(self) -> None:
        """Look every token up again: one was taken away."""
        self._known.clear()
