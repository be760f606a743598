"""``rco letters``: events that a subscription could not take."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.events import print_event
from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask

__all__ = ["app"]

app = App(name="letters", help="Look at dead letters, replay or dismiss them.")


@app.command(name="list")
def list_(
    *,
    replayed: Annotated[bool, Parameter(negative="")] = False,
    after: str | None = None,
    limit: int = 50,
    link: Link = LINK,
) -> None:
    """List dead letters, newest first.

    Parameters
    ----------
    replayed
        Those that were sent again or dismissed, instead of those that wait.
    after
        Go on behind this letter: the next of the page before.
    limit
        How many, at most 500.
    """
    page = ask(link, lambda client: client.letters(replayed=replayed, after=after, limit=limit))
    if link.json:
        print_json(page)
        return
    rows = [
        (letter.id, letter.subscription, letter.event.type, moment(letter.at), letter.cause) for letter in page.items
    ]
    print_table(("ID", "Subscription", "Event", "At", "Cause"), rows, nothing="No dead letters.")
    if page.next is not None:
        print_text(f"More: --after {page.next}", "dim")


@app.command
def show(letter_id: str, *, link: Link = LINK) -> None:
    """Show one dead letter: why it was not taken, and its event with the data.

    Parameters
    ----------
    letter_id
        Id of the letter.
    """
    letter = ask(link, lambda client: client.letter(letter_id))
    if link.json:
        print_json(letter)
        return
    for name in ("id", "subscription", "cause", "at", "replayed_at"):
        value = getattr(letter, name)
        if value:
            print_text(f"{name:<12} {value}")
    print_text("")
    print_event(letter.event)


@app.command
def dismiss(letter_id: str, *, reason: str, link: Link = LINK) -> None:
    """Take a dead letter that nobody will take any more off the list: it is not sent again.

    Parameters
    ----------
    letter_id
        Id of the letter.
    reason
        Why; it stands in the evidence.
    """
    from rco.model.wire_events import DismissAsk

    letter = ask(link, lambda client: client.dismiss_letter(letter_id, DismissAsk(reason=reason)))
    print_answer(letter, f"{letter_id}  dismissed", json=link.json)


@app.command
def replay(letter_id: str, *, link: Link = LINK) -> None:
    """Give a dead letter's event to its subscription again, once its cause is cured.

    Parameters
    ----------
    letter_id
        Id of the letter.
    """
    replayed = ask(link, lambda client: client.replay_letter(letter_id))
    print_answer(replayed, f"{letter_id}  opened {replayed.opened} run(s)", json=link.json)
