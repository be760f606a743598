"""``rco retention``: what is dropped when its time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from rco.cli.output import moment, print_json, print_table
from rco.cli.reach import LINK, Link, ask

if TYPE_CHECKING:
    from rco.model.wire_tenants import RetentionView

__all__ = ["app"]

app = App(name="retention", help="See what is dropped when its time is over, and drop it now.")


@app.command
def show(*, link: Link = LINK) -> None:
    """Show what was dropped last by the node that answers."""
    _print(link, ask(link, lambda client: client.retention.show()))


@app.command
def run(*, preview: Annotated[bool, Parameter(negative="")] = False, link: Link = LINK) -> None:
    """Drop now what is over its time, as the service does on schedule. Needs an administrator's token for all
    namespaces.

    Parameters
    ----------
    preview
        Only say how many of what would go, and since when the first of it has ended. Changes nothing.
    """
    _print(link, ask(link, lambda client: client.retention.run(preview=preview)))


def _print(link: Link, view: RetentionView) -> None:
    if link.json:
        print_json(view)
        return
    word = "would go" if view.preview else "dropped"
    rows = [(one.kind, one.retention, one.count, word, moment(one.since)) for one in view.lines]
    print_table(("What", "Class", "Count", "", "Since"), rows, nothing="Nothing.")
