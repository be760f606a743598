"""The store of a service, open and with its first administrator."""

from __future__ import annotations

import socket
import sys

import msgspec

from rco.assembly.ground import Ground
from rco.audit.chain import ChainSealer
from rco.errors import ConfigInvalid
from rco.operations.access import mint_token
from rco.operations.first_admin import ensure_admin, given_admin
from rco.store.contract.keeper import Keeper
from rco.store.opening import migrate_up, start_keeper

__all__ = ["first_admin", "open_store"]

TOKEN_CHARS_MIN = 32
"""A token that is given must be as hard to guess as one that is made."""


async def open_store(ground: Ground, *, migrating: bool) -> tuple[Keeper, str]:
    """The keeper, started, and the name that this node has in it. ``migrating``: bring the schema up to date first."""
    where = ground.where
    if migrating:
        await migrate_up(where)
    options = ground.settings.store
    keeper, node = await start_keeper(
        where,
        clock=ground.clock,
        ids=ground.ids,
        sealer=ChainSealer(),
        host=socket.gethostname(),
        options=msgspec.structs.replace(options, direct_dsn=ground.secrets.opened(options.direct_dsn)),
    )
    ground.stops.append(keeper.stop)
    return keeper, node


async def first_admin(ground: Ground, keeper: Keeper) -> None:
    """See to it that somebody can give orders, and say where their token is."""
    if ground.settings.amnesia.enabled:
        await _fleeting_admin(ground, keeper)
        return
    file = ground.data / "admin.token"
    first = await ensure_admin(keeper.reader, ground.clock, ground.ids, file, host=socket.gethostname())
    if first.made:
        ground.log.info("admin.made", file=first.where)
    elif first.where and not file.exists():
        # Another node was first on this database: its file holds the token.
        ground.log.info("admin.elsewhere", file=first.where)


async def _fleeting_admin(ground: Ground, keeper: Keeper) -> None:
    """The administrator of a service that writes no file: of a token that is given, or printed once, or nobody."""
    options = ground.settings.amnesia
    if options.admin_token:
        token = ground.secrets(options.admin_token)
        if len(token) < TOKEN_CHARS_MIN:
            raise ConfigInvalid(
                f"the token has {len(token)} characters, and needs {TOKEN_CHARS_MIN}",
                cure="Make one: openssl rand -hex 32.",
                key="amnesia.admin_token",
            )
        await given_admin(keeper.reader, ground.clock, token, origin=options.admin_token)
    elif options.print_token:
        token = mint_token(ground.ids)
        await given_admin(keeper.reader, ground.clock, token, origin="standard output")
        # Past the log, which would mask it: it is what was asked for, once.
        sys.stdout.write(msgspec.json.encode({"event": "admin.token", "token": token}).decode() + "\n")
        sys.stdout.flush()
    else:
        ground.log.warning("admin.none", detail="amnesia has neither admin_token nor print_token")
