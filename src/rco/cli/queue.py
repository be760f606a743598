"""``rco queue``: who waits for their turn, and stopping and letting go on."""

from __future__ import annotations

from cyclopts import App

from rco.cli.output import print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.model.wire_queues import QueueView

__all__ = ["app"]

app = App(name="queue", help="See who waits for their turn, and pause queues.")


@app.command(name="list")
def list_(*, link: Link = LINK) -> None:
    """List queues and how they stand."""
    page = ask(link, lambda client: client.queues.list())
    if link.json:
        print_json(page)
        return
    columns = ("Name", "State", "Running", "Waiting", "Held", "Oldest", "Per key")
    print_table(columns, [_row(one) for one in page.items], nothing="No queues are declared.")


def _row(queue: QueueView) -> tuple[object, ...]:
    state = ("paused", "yellow") if queue.paused else ("open", "green")
    if not queue.declared:
        state = ("not declared", "red")
    limit = "" if queue.concurrency is None else f"/{queue.concurrency}"
    return (
        queue.name,
        state,
        f"{queue.running}{limit}",
        queue.waiting,
        queue.held,
        "" if queue.oldest_s is None else f"{queue.oldest_s:.1f} s",
        "" if queue.per_key_concurrency is None else queue.per_key_concurrency,
    )


@app.command
def show(name: str, *, link: Link = LINK) -> None:
    """Show one queue and the fairness keys that wait.

    Parameters
    ----------
    name
        Name of the queue.
    """
    _show(ask(link, lambda client: client.queues.show(name)), link)


@app.command
def pause(name: str, *, reason: str = "", link: Link = LINK) -> None:
    """Give no turns any more; what runs goes on, what comes waits.

    Parameters
    ----------
    name
        Name of the queue.
    reason
        Why, for the record.
    """
    _steered(ask(link, lambda client: client.queues.pause(name, reason)), link)


@app.command
def resume(name: str, *, reason: str = "", link: Link = LINK) -> None:
    """Let a paused queue go on.

    Parameters
    ----------
    name
        Name of the queue.
    reason
        Why, for the record.
    """
    _steered(ask(link, lambda client: client.queues.resume(name, reason)), link)


def _steered(queue: QueueView, link: Link) -> None:
    print_answer(
        queue, f"{queue.name}  {'paused' if queue.paused else 'open'}  {queue.waiting} waiting", json=link.json
    )


def _show(queue: QueueView, link: Link) -> None:
    if link.json:
        print_json(queue)
        return
    print_table(("Name", "State", "Running", "Waiting", "Held", "Oldest", "Per key"), [_row(queue)], nothing="")
    if queue.paused:
        print_text(f"Paused by {queue.paused_by}: {queue.reason}".rstrip(": "))
    rows = [
        (one.fair_key or "(none)", one.priority, one.weight, one.waiting, f"{one.oldest_s:.1f} s") for one in queue.keys
    ]
    print_table(("Fair key", "Priority", "Weight", "Waiting", "Oldest"), rows, nothing="Nobody waits.")
