"""``rco target``: the downstream APIs that may be called, their limits and their kill switch."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.output import print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.client import Client
from rco.kit.units import parse_duration_s
from rco.model.wire_targets import CloseAsk, LimitView, OpenAsk, TargetView

__all__ = ["app"]

app = App(name="target", help="Look at the downstream APIs that may be called; close and open them.")
_STYLES = {"closed": "green", "open": "red", "half_open": "yellow"}
_Flag = Annotated[bool, Parameter(negative="")]


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
            (_closed(target), "red"),
            f"{target.in_flight}/{target.concurrency}",
            target.waiting,
            target.calls,
            target.calls - target.outcomes.get("ok", 0),
        )
        for target in page.items
    ]
    columns = ("Name", "Base URL", "Breaker", "Closed", "In flight", "Waiting", "Calls", "Not ok")
    print_table(columns, rows, nothing="No targets are declared.")


@app.command
def show(name: str, *, link: Link = LINK) -> None:
    """Show one target: each limit, who holds how much of it, and what is closed and why.

    Parameters
    ----------
    name
        The target.
    """
    target = ask(link, lambda client: client.target(name))
    if link.json:
        print_json(target)
        return
    print_text(f"{target.name}  {target.base_url}  breaker {target.breaker}  when closed: {target.when_closed}")
    print_table(
        ("Limit", "Configured", "Leased here", "In use", "Waiting", "All nodes", "Budgets"),
        [_row(limits) for limits in target.limits],
        nothing="It has no limits.",
    )
    if target.closed:
        print_table(
            ("Closed", "Why", "Since", "Until", "By", "Reason"),
            [(one.scope, one.why, one.since, one.until or "opened", one.actor, one.reason) for one in target.closed],
            nothing="",
        )


@app.command
def close(
    name: str,
    *,
    reason: str,
    namespace: str = "",
    credential: _Flag = False,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    link: Link = LINK,
) -> None:
    """Let no call out any more: on every node, within a second, until it is opened. Calls under way go on.

    Parameters
    ----------
    name
        The target; * with --namespace for all of them.
    reason
        Why. It stands in the evidence, and in the error of calls that meet it.
    namespace
        Only calls of this namespace.
    credential
        Every call that uses the target's credential, whatever its target.
    for_
        Open again by itself after so long, such as 10m.
    """
    for_ms = None if for_ is None else round(parse_duration_s(for_) * 1000)
    given = CloseAsk(reason=reason, namespace=namespace, credential=credential, for_ms=for_ms)
    closed = ask(link, lambda client: client.close_target(name, given))
    print_answer(closed, f"{closed.scope} is closed until {closed.until or 'somebody opens it'}.", json=link.json)


@app.command(name="open")
def open_(name: str, *, reason: str = "", namespace: str = "", credential: _Flag = False, link: Link = LINK) -> None:
    """Open again what was closed, by hand or by the target itself.

    Parameters
    ----------
    name
        The target; * with --namespace for all of them.
    reason
        Why, for the evidence.
    namespace
        What was closed for this namespace.
    credential
        What was closed for the target's credential.
    """
    given = OpenAsk(reason=reason, namespace=namespace, credential=credential)
    opened = ask(link, lambda client: client.open_target(name, given))
    print_answer(
        opened, "Nothing was closed." if opened.was is None else f"{opened.was.scope} is open.", json=link.json
    )


def _closed(target: TargetView) -> str:
    return ", ".join(sorted({f"{one.why}: {one.reason}" if one.reason else one.why for one in target.closed}))


def _row(limits: LimitView) -> tuple[object, ...]:
    configured = []
    if limits.rate_per_s is not None:
        configured.append(f"{limits.rate_per_s:g}/s burst {limits.burst}")
    if limits.concurrency is not None:
        configured.append(f"{limits.concurrency} at once")
    budgets = [f"{one.given}/{one.limit} {one.of} per {one.per} ({one.period})" for one in limits.budgets]
    nodes = [f"{one.node}: {one.leased} of {one.wanted} wanted" for one in limits.nodes]
    return (
        limits.scope,
        ", ".join(configured),
        "-" if limits.leased is None else limits.leased,
        limits.in_use,
        limits.waiting,
        "; ".join(nodes),
        "; ".join(budgets),
    )
