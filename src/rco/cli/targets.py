"""``rco targets``: the downstream APIs that may be called."""

from __future__ import annotations

from cyclopts import App

from rco.cli.output import print_json, print_table
from rco.cli.reach import LINK, Link, ask
from rco.client import Client

__all__ = ["app"]

app = App(name="targets", help="Look at the downstream APIs that may be called.")
_STYLES = {"closed": "green", "open": "red", "half_open": "yellow"}


@app.command(name="list")
def list_(*, link: Link = LINK) -> None:
    """List targets with their state."""
    page = ask(link, Client.targets)
    if link.json:
        print_json(page)
        return
    rows = [
        (
            target.name,
            target.base_url,
            (target.breaker, _STYLES.get(target.breaker, "")),
            f"{target.in_flight}/{target.concurrency}",
            target.waiting,
            target.calls,
            target.calls - target.outcomes.get("ok", 0),
        )
        for target in page.items
    ]
    columns = ("Name", "Base URL", "Breaker", "In flight", "Waiting", "Calls", "Not ok")
    print_table(columns, rows, nothing="No targets are declared.")
