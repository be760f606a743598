"""``rco node``: the processes that share the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.output import print_answer, print_json, print_table, print_text
from rco.cli.place import Place, find_place
from rco.cli.reach import LINK, Link, ask
from rco.client import Client
from rco.errors import ConfigInvalid
from rco.store.contract.snapshot import NodeRow

__all__ = ["app"]

app = App(name="node", help="See which processes own the work, and take one out of service.")
_Flag = Annotated[bool, Parameter(negative="")]
_STYLES = {"running": "green", "draining": "yellow", "gone": "dim", "unknown": "cyan"}


@app.command(name="list")
def list_(*, config: Path | None = None, store: str | None = None, all: _Flag = False, json: _Flag = False) -> None:
    """List the nodes that live or own shards. A SQLite file has one owner at a time.

    Parameters
    ----------
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: a SQLite file, or postgresql://...
    all
        With those that are gone and own nothing.
    json
        As JSON.
    """
    from rco.kit.clock import iso
    from rco.store.opening import open_snapshot

    place = find_place(config, store)
    with open_snapshot(place.where, place.options) as snapshot:
        nodes, leases = snapshot.nodes(), snapshot.leases()
    said = []
    for node in nodes:
        shards = sum(lease.last - lease.first + 1 for lease in leases if lease.owner == node.name)
        state = _state(node, shards, place)
        if not all and state == "gone" and not shards:
            continue
        said.append(
            {
                "node": node.name,
                "state": state,
                "shards": shards,
                "epoch": node.epoch,
                "pid": node.pid,
                "started_at": iso(node.started_us),
                "alive_s": node.alive_s,
                "skew_us": node.skew_us,
            }
        )
    if json:
        print_json(said)
        return
    rows = [
        (one["node"], (one["state"], _STYLES[str(one["state"])]), one["shards"], one["epoch"], one["started_at"])
        for one in said
    ]
    print_table(("Node", "State", "Shards", "Epoch", "Started"), rows, nothing="No node owns this database.")


def _state(node: NodeRow, shards: int, place: Place) -> str:
    if node.alive_s is not None:
        return ("draining" if node.draining else "running") if node.alive_s > 0 else "gone"
    from rco.store.sqlite.examine import held

    pid = held(Path(place.where))
    return "unknown" if pid is None else "running" if shards and pid == node.pid else "gone"


@app.command
def drain(node: str | None = None, *, config: Path | None = None, store: str | None = None, link: Link = LINK) -> None:
    """Take a node out of service; what is open goes on. Only a restart takes it back.

    Without NODE the service that is found is asked: new events and starts are refused with BACKPRESSURE, and /readyz
    says 503, so a balancer sends no more. With NODE, on PostgreSQL, the node of that name hands its shards over to the
    others at its next heartbeat.

    Parameters
    ----------
    node
        Name of the node: see rco node list.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: postgresql://...
    """
    if node is not None:
        _drain_by_name(node, find_place(config, store), link.json)
        return
    if store is not None:
        raise ConfigInvalid("--store names a database, and no node in it", cure="Give its name: rco node drain NODE.")
    info = ask(link, Client.drain)
    if link.json:
        print_json(info)
        return
    left = sum(info.open_runs.values())
    print_text(f"{info.node}: draining; {left} run(s) open, {info.backlog} row(s) to be written")
    print_text("It goes on with what is open. Stop it with SIGTERM when you like: nothing is lost.", "dim")


def _drain_by_name(node: str, place: Place, json: bool) -> None:
    import asyncio

    from rco.store.opening import need_postgres

    dsn = place.dsn("Ask the service itself: rco node drain.")
    need_postgres()
    from rco.store.postgres.operate import drain_node
    from rco.store.postgres.options import postgres_options

    asyncio.run(drain_node(dsn, postgres_options(place.options), node))
    print_answer(
        {"node": node, "draining": True},
        f"{node}: hands its shards over at its next heartbeat, as long as another node lives",
        json=json,
    )
