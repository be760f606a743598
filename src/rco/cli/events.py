"""``rco events``: accepted events."""

from __future__ import annotations

from cyclopts import App

from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.model.wire_events import EventView

__all__ = ["app", "print_event"]

app = App(name="events", help="Look at accepted events, and replay them.")


@app.command(name="list")
def list_(*, type: str | None = None, after: str | None = None, limit: int = 50, link: Link = LINK) -> None:
    """List events, newest first.

    Parameters
    ----------
    type
        Only events of this type.
    after
        Go on behind this: the next of the page before.
    limit
        How many, at most 500.
    """
    page = ask(link, lambda client: client.events(type=type, after=after, limit=limit))
    if link.json:
        print_json(page)
        return
    rows = [(event.id, event.type, event.source, event.subject, moment(event.received_at)) for event in page.items]
    print_table(("ID", "Type", "Source", "Subject", "Received"), rows, nothing="No events.")
    if page.next is not None:
        print_text(f"More: --after {page.next}", "dim")


@app.command
def show(event_id: str, *, link: Link = LINK) -> None:
    """Show one event with its data.

    Parameters
    ----------
    event_id
        Id of the event.
    """
    event = ask(link, lambda client: client.event(event_id))
    if link.json:
        print_json(event)
    else:
        print_event(event)


def print_event(event: EventView) -> None:
    """Its attributes and its data."""
    import msgspec

    for name in ("id", "type", "source", "subject", "time", "received_at", "origin", "corr_id"):
        value = getattr(event, name)
        if value:
            print_text(f"{name:<12} {value}")
    for line in msgspec.json.format(msgspec.json.encode(event.data)).decode().splitlines():
        print_text(line)


@app.command
def replay(event_id: str, *, link: Link = LINK) -> None:
    """Give an event to its subscriptions again: new runs, except where a subscription has a key of its own.

    Parameters
    ----------
    event_id
        Id of the event.
    """
    replayed = ask(link, lambda client: client.replay_event(event_id))
    print_answer(replayed, f"{event_id}  opened {replayed.opened} run(s)", json=link.json)
