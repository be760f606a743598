"""``rco tail``: what a service decides, as it decides it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from rco.cli.output import print_json_line, print_text
from rco.cli.reach import LINK, Link, ask

if TYPE_CHECKING:
    from rco.client import Client
    from rco.model.wire_audit import TailItem

__all__ = ["tail"]

WAIT_S = 15.0
AGAIN_S = 1.0


def tail(
    *,
    topic: str = "svc-interop",
    since: str = "15m",
    once: Annotated[bool, Parameter(negative="")] = False,
    link: Link = LINK,
) -> None:
    """Follow what a service decides: accepted and refused webhooks, brownouts, changes of its configuration. Goes on
    until it is interrupted; survives restarts of the service.

    Parameters
    ----------
    topic
        svc-interop: what belongs to the bridge; rco: everything.
    since
        How far to begin in the past, e.g. 15m.
    once
        Stop at what there is now.
    """
    from rco.errors import ConfigInvalid
    from rco.kit.units import parse_duration_s

    try:
        since_s = parse_duration_s(since)
    except ValueError as error:
        raise ConfigInvalid(f"--since: {error}") from None
    ask(link, lambda client: _follow(client, topic, since_s, once, link.json))


async def _follow(client: Client, topic: str, since_s: float, once: bool, json: bool) -> None:
    from rco.errors import Unreachable

    after: str | None = None
    while True:
        try:
            page = await client.tail(topic=topic, since_s=since_s, after=after, wait_s=0.0 if once else WAIT_S)
        except Unreachable:
            if once or after is None:
                raise
            # It was there: most likely it is being started again, and goes on where it was.
            await asyncio.sleep(AGAIN_S)
            continue
        for item in page.items:
            if json:
                print_json_line(item)
            else:
                print_text(_line(item))
        sys.stdout.flush()
        after = page.next
        if once and page.whole:
            return


def _line(item: TailItem) -> str:
    one = item.decision
    said = "allow" if one.get("allow", True) else "deny"
    parts = (one["verb"], said, one.get("subject", ""), one.get("reason", ""), one.get("corr_id", ""))
    return f"{item.at}  {item.type}  {'  '.join(part for part in parts if part)}"
