"""The service that runs here, asked over its control API."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rco.cli.checkup.report import Found, fail, ok, warn
from rco.client import Client
from rco.model.wire import NodeInfo
from rco.model.wire_targets import TargetPage

__all__ = ["Told", "ask_all", "told"]

BACKLOG_LARGE = 5_000


class Told(msgspec.Struct, frozen=True):
    """What the service says of itself."""

    info: NodeInfo
    targets: TargetPage


async def ask_all(client: Client) -> Told:
    """Raises what the client raises."""
    return Told(await client.info(), await client.targets())


def told(said: Told) -> Iterator[Found]:
    """Judges it."""
    info = said.info
    open_runs = ", ".join(f"{count} {mode}" for mode, count in info.open_runs.items() if count) or "no open runs"
    if info.draining:
        yield warn("service", f"{info.node} {info.version} is draining: {open_runs}", "Restart it to take new work.")
    else:
        yield ok("service", f"{info.node} {info.version}, epoch {info.epoch}: {open_runs}")
    if info.backlog > BACKLOG_LARGE:
        cure = "The disk is slower than the load: look at rco_commit_seconds, or slow the senders down."
        yield warn("writer backlog", f"{info.backlog} rows wait for the disk", cure)
    else:
        yield ok("writer backlog", f"{info.backlog} rows")
    shut = [target for target in said.targets.items if target.breaker != "closed" or target.closed_until]
    if shut:
        names = ", ".join(f"{target.name} ({target.breaker})" for target in shut)
        yield warn("targets", f"not taking calls: {names}", "They are tried again by themselves; rco target list")
    else:
        yield ok("targets", f"{len(said.targets.items)} declared, all closed breakers")
    full = [target.name for target in said.targets.items if target.waiting]
    if full:
        yield warn("waiting calls", f"calls wait for {', '.join(full)}", "Raise its concurrency or rate, or send less.")
    if not info.workflows:
        yield fail("workflows", "none is loaded", "Give the application: app in the configuration, or --app.")
