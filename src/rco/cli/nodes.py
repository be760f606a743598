"""``rco node``: the processes that share the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.export import store_path
from rco.cli.output import print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.client import Client

__all__ = ["app"]

app = App(name="node", help="See which processes own the work, and take one out of service.")
_Flag = Annotated[bool, Parameter(negative="")]
_STYLES = {"running": "green", "gone": "dim", "unknown": "cyan"}


@app.command(name="list")
def list_(*, config: Path | None = None, store: str | None = None, json: _Flag = False) -> None:
    """List the nodes that the database knows, with the shards they own. A SQLite file has one owner at a time.

    Parameters
    ----------
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: a SQLite file.
    json
        As JSON.
    """
    from rco.kit.clock import iso
    from rco.store.sqlite.examine import held
    from rco.store.sqlite.snapshot import open_snapshot

    path = store_path(config, store)
    pid = held(path)
    with open_snapshot(path) as snapshot:
        nodes, leases = snapshot.nodes(), snapshot.leases()
    said = []
    for node in nodes:
        shards = sum(lease.last - lease.first + 1 for lease in leases if lease.owner == node.name)
        state = "unknown" if pid is None else "running" if shards and pid == node.pid else "gone"
        said.append(
            {
                "node": node.name,
                "state": state,
                "shards": shards,
                "epoch": node.epoch,
                "pid": node.pid,
                "started_at": iso(node.started_us),
            }
        )
    if json:
        print_json(said)
        return
    rows = [
        (one["node"], (one["state"], _STYLES[str(one["state"])]), one["shards"], one["epoch"], one["started_at"])
        for one in said
    ]
    print_table(("Node", "State", "Shards", "Epoch", "Started"), rows, nothing="No node ever owned this database.")


@app.command
def drain(*, link: Link = LINK) -> None:
    """Ask a running service to take no new work; what is open goes on. Only a restart takes it back.

    New events and starts are refused with BACKPRESSURE, and /readyz says 503, so a balancer sends no more.
    """
    info = ask(link, Client.drain)
    if link.json:
        print_json(info)
        return
    left = sum(info.open_runs.values())
    print_text(f"{info.node}: draining; {left} run(s) open, {info.backlog} row(s) to be written")
    print_text("It goes on with what is open. Stop it with SIGTERM when you like: nothing is lost.", "dim")
