"""Who may do what: grants by role, tokens to principals, and the first administrator.

A token is 32 random bytes in hexadecimal. The store holds only its keyed digest, so a copy of the database opens no
door. A lookup by digest takes no time that depends on the token: what is compared is its digest, which a guesser
cannot steer.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from pathlib import Path

from rco.capability.authority import Authority, Proved
from rco.capability.token import TEXT_PREFIX, parse, shown_id
from rco.errors import Forbidden, Reason, Refused
from rco.kit.clock import Clock
from rco.kit.digest import digest, keyed_digest
from rco.kit.ids import Ids
from rco.model.principal import Principal, Role
from rco.store.contract.reader import Principals

__all__ = ["ADMIN_ID", "Access", "Bearer", "ensure_admin", "mint_token", "require", "token_digest"]

ADMIN_ID = "admin"
TOKEN_BYTES_MAX = 512
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

    async def principal(self, authorization: str | None) -> Principal:
        """The principal behind an ``Authorization`` header (RFC 6750, ``Bearer TOKEN``).

        Raises ``Refused(UNAUTH)`` for a missing, malformed or unknown token; the details are for the log only.
        """
        if not authorization:
            raise Refused(Reason.UNAUTH, "token_missing", "A bearer token is needed.")
        scheme, _, token = authorization.partition(" ")
        if self._authority is not None and scheme.lower() == "bearer" and token.startswith(TEXT_PREFIX):
            proved = self._authority.proved(parse(token))
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
            return held[2]
        found = await self._principals.principal(sought)
        if found is None:
            self._known.pop(sought, None)
            raise Refused(Reason.UNAUTH, "token_unknown", "The bearer token is not known.")
        if len(self._known) >= CACHED_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[sought] = (now + CACHE_S, sought, found)
        return found


async def ensure_admin(principals: Principals, ids: Ids, token_file: Path) -> bool:
    """Make the first administrator when there is none. Returns whether one was made.

    The token goes to ``token_file`` (mode 0600, created, never opened through a link), its digest to the store. The
    file comes first: a crash between the two leaves a token that nobody knows, and the next start makes a new one.
    Where an administrator exists nothing is touched, also when the file is gone.
    """
    if any(known.role is Role.ADMIN for known in await principals.principals()):
        return False
    token = mint_token(ids)
    await asyncio.to_thread(_write_token, token_file, token)
    admin = Principal(principal_id=ADMIN_ID, name="administrator", role=Role.ADMIN)
    await principals.add_principal(admin, token_digest(token))
    return True


def _write_token(token_file: Path, token: str) -> None:
    token_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    token_file.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(token_file, flags, 0o600)
    try:
        os.fchmod(handle, 0o600)  # whatever the umask was
        os.write(handle, token.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
