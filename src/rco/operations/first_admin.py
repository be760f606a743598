"""The first administrator: exactly one token, however many nodes start for the first time on one database."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.model.principal import EVERYWHERE, Principal, Role
from rco.operations.access import mint_token, token_digest
from rco.store.contract.reader import Principals

__all__ = ["ADMIN_ID", "FirstAdmin", "ensure_admin", "given_admin", "is_lasting_admin"]

ADMIN_ID = "admin"
_NEW = ".new-"
_UNDER_WAY_US = 60_000_000
"""A younger one may be that of another start in the same folder."""


class FirstAdmin(msgspec.Struct, frozen=True):
    """``made``: by this call. ``where``: the place that the token was put in, ``""`` when that is not known."""

    made: bool
    where: str


def is_lasting_admin(principal: Principal) -> bool:
    """Whether it may do everything everywhere, for as long as it is not revoked."""
    return principal.role is Role.ADMIN and principal.everywhere and principal.expires_us is None


async def ensure_admin(
    principals: Principals, clock: Clock, ids: Ids, token_file: Path, *, host: str = ""
) -> FirstAdmin:
    """Make the first administrator where there is none that lasts; where there is, touch nothing, also when the file is
    gone.

    The token goes to a file of its own beside ``token_file`` (mode 0600, created, never opened through a link), then
    its digest to the store, which takes the first one of all that are offered; only then it gets its name. So the file
    of the node that was first holds the token that is valid, no other node's file is written over, and what a crash
    left in between is given its name by the next call, or removed.
    """
    await _finish(principals, clock, token_file)
    known = await principals.principals()
    lasting = next((one for one in known if is_lasting_admin(one)), None)
    if lasting is not None:
        return FirstAdmin(False, next((one.origin for one in known if one.principal_id == ADMIN_ID), lasting.origin))
    token = mint_token(ids)
    path = str(await asyncio.to_thread(token_file.absolute))
    where = f"{host}:{path}" if host else path
    admin = Principal(
        principal_id=ADMIN_ID,
        name="administrator",
        role=Role.ADMIN,
        namespaces=(EVERYWHERE,),
        created_us=clock.now_us(),
        origin=where,
    )
    new = token_file.with_name(f"{token_file.name}{_NEW}{ids.token(8)}")
    await asyncio.to_thread(_write_token, new, token)
    if await principals.found_principal(admin, token_digest(token)):
        await asyncio.to_thread(_rename, new, token_file)
        return FirstAdmin(True, where)
    await asyncio.to_thread(new.unlink, missing_ok=True)
    known = await principals.principals()
    return FirstAdmin(False, next((one.origin for one in known if one.principal_id == ADMIN_ID), ""))


async def given_admin(principals: Principals, clock: Clock, token: str, *, origin: str) -> None:
    """Make the administrator whose token is ``token``, which comes from ``origin`` and is written nowhere."""
    admin = Principal(
        principal_id=ADMIN_ID,
        name="administrator",
        role=Role.ADMIN,
        namespaces=(EVERYWHERE,),
        created_us=clock.now_us(),
        origin=origin,
    )
    await principals.found_principal(admin, token_digest(token))


async def _finish(principals: Principals, clock: Clock, token_file: Path) -> None:
    """A start that was killed left its token under the name that it was made with."""
    for new in await asyncio.to_thread(lambda: sorted(token_file.parent.glob(f"{token_file.name}{_NEW}*"))):
        token = await asyncio.to_thread(_read_token, new)
        if token and await principals.principal(token_digest(token)) is not None:
            await asyncio.to_thread(_rename, new, token_file)
        elif await asyncio.to_thread(_made_us, new) < clock.now_us() - _UNDER_WAY_US:
            await asyncio.to_thread(new.unlink, missing_ok=True)


def _made_us(new: Path) -> int:
    try:
        return new.lstat().st_mtime_ns // 1000
    except OSError:
        return 0


def _read_token(file: Path) -> str:
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(handle, "rb") as opened:
        return opened.read(512).decode("ascii", "replace").strip()


def _write_token(token_file: Path, token: str) -> None:
    token_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(token_file, flags, 0o600)
    try:
        os.fchmod(handle, 0o600)  # whatever the umask was
        os.write(handle, token.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def _rename(new: Path, token_file: Path) -> None:
    new.replace(token_file)
    folder = os.open(token_file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
