"""``rco payloads``: large payloads in the object store, and what of them nobody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from rco.cli.output import print_json, print_table
from rco.cli.reach import LINK, Link, ask

if TYPE_CHECKING:
    from rco.model.wire_payloads import PayloadSweep

__all__ = ["app"]

app = App(name="payloads", help="See the payloads in the object store, and remove what nothing refers to.")


@app.command
def show(*, link: Link = LINK) -> None:
    """Show what the last look of the node that answers found."""
    _print(link, ask(link, lambda client: client.payloads.show()))


@app.command
def gc(*, preview: Annotated[bool, Parameter(negative="")] = False, link: Link = LINK) -> None:
    """Remove now what nothing has referred to for the whole of payloads.gc_grace, as the service does on schedule.
    Needs an administrator's token for all namespaces.

    Parameters
    ----------
    preview
        Only say how much would go. Changes nothing.
    """
    _print(link, ask(link, lambda client: client.payloads.gc(preview=preview)))


def _print(link: Link, view: PayloadSweep) -> None:
    if link.json:
        print_json(view)
        return
    word = "would be removed" if view.preview else "removed"
    rows = [
        ("in use", view.used, ""),
        ("unused, within the grace", view.waiting, ""),
        (word, view.removed, f"{view.removed_bytes} bytes"),
    ]
    print_table(("Payloads", "Count", ""), rows if view.at else [], nothing="No look since the node started.")
