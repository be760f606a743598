"""``rco endpoint``: where webhooks are sent, and what was delivered."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from rco.cli.given import JsonText, duration_s, json_value
from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.model.wire_endpoints import EndpointView, MadeEndpoint

__all__ = ["app"]

app = App(name="endpoint", help="Send webhooks to endpoints, see what was delivered, deliver again.")
_Flag = Annotated[bool, Parameter(negative="")]


@app.command
def create(
    url: str,
    /,
    *,
    types: list[str],
    signing: Literal["v1", "v1a"] = "v1",
    secret: str | None = None,
    order_by: str | None = None,
    rate: float | None = None,
    burst: int | None = None,
    note: str = "",
    link: Link = LINK,
) -> None:
    """Send events to an address, signed. Tells the signing secret, this once. Needs an administrator's token.

    Parameters
    ----------
    url
        Where they are sent.
    types
        Pattern of event types: the whole text, or its beginning followed by *. May be given again.
    signing
        v1 is HMAC-SHA256, v1a is Ed25519.
    secret
        Reference to a secret that the service's machines keep, as env:NAME; else one is made.
    order_by
        jq expression over the event, as .data.order: deliveries with the same value go one after the other.
    rate
        Requests a second at most, over all nodes.
    burst
        So many of them at once; else one second's worth.
    note
        What it is for.
    """
    from rco.model.wire_endpoints import CreateEndpoint

    body = CreateEndpoint(
        url=url,
        types=types,
        signing=signing,
        secret=secret,
        order_by=order_by,
        rate_per_s=rate,
        burst=burst,
        note=note,
    )
    _made(ask(link, lambda client: client.endpoints.create(body)), link)


@app.command(name="list")
def list_(*, link: Link = LINK) -> None:
    """List the endpoints of the namespace."""
    page = ask(link, lambda client: client.endpoints.list())
    if link.json:
        print_json(page)
        return
    rows = [(one.id, _state(one), one.url, " ".join(one.types), one.cause, moment(one.since)) for one in page.items]
    print_table(("ID", "State", "URL", "Types", "Cause", "Since"), rows, nothing="No endpoints.")


@app.command
def show(endpoint: str, *, link: Link = LINK) -> None:
    """Show one endpoint, without its secrets.

    Parameters
    ----------
    endpoint
        Its ID.
    """
    _show(ask(link, lambda client: client.endpoints.show(endpoint)), link)


@app.command(name="set")
def set_(
    endpoint: str,
    *,
    to: str | None = None,
    types: list[str] | None = None,
    order_by: str | None = None,
    rate: float | None = None,
    burst: int | None = None,
    note: str | None = None,
    link: Link = LINK,
) -> None:
    """Change what is given; the rest stays. Needs an administrator's token.

    Parameters
    ----------
    endpoint
        Its ID.
    to
        Where to send from now on, also what waits.
    types
        Patterns of event types, instead of those it has.
    order_by
        jq expression over the event; empty: no order any more.
    rate
        Requests a second at most, over all nodes; 0: none of its own any more.
    burst
        So many of them at once; 0: one second's worth.
    note
        What it is for.
    """
    from msgspec import UNSET

    from rco.model.wire_endpoints import PatchEndpoint

    body = PatchEndpoint(
        url=UNSET if to is None else to,
        types=UNSET if types is None else types,
        order_by=UNSET if order_by is None else order_by or None,
        rate_per_s=UNSET if rate is None else rate or None,
        # A burst is one of a rate, and goes with it.
        burst=None if rate == 0 else UNSET if burst is None else burst or None,
        note=UNSET if note is None else note,
    )
    _show(ask(link, lambda client: client.endpoints.change(endpoint, body)), link)


@app.command
def disable(endpoint: str, *, reason: str = "", link: Link = LINK) -> None:
    """Send nothing to it any more; deliveries that wait fail. Needs an administrator's token.

    Parameters
    ----------
    endpoint
        Its ID.
    reason
        Why, for the evidence.
    """
    from rco.model.wire_endpoints import PatchEndpoint

    body = PatchEndpoint(enabled=False, reason=reason)
    _show(ask(link, lambda client: client.endpoints.change(endpoint, body)), link)


@app.command
def enable(endpoint: str, *, link: Link = LINK) -> None:
    """Send to it again. Nothing is replayed by itself.

    Parameters
    ----------
    endpoint
        Its ID.
    """
    _show(ask(link, lambda client: client.endpoints.enable(endpoint)), link)


@app.command
def delete(endpoint: str, *, link: Link = LINK) -> None:
    """Remove it with its secrets; deliveries that wait fail. Needs an administrator's token.

    Parameters
    ----------
    endpoint
        Its ID.
    """
    ask(link, lambda client: client.endpoints.delete(endpoint))
    if not link.json:
        print_text(f"{endpoint}: deleted")


@app.command
def rotate(
    endpoint: str,
    *,
    grace: str | None = None,
    signing: Literal["v1", "v1a"] | None = None,
    secret: str | None = None,
    link: Link = LINK,
) -> None:
    """Sign with a new secret, and with those before as well for a while. Needs an administrator's token.

    Parameters
    ----------
    endpoint
        Its ID.
    grace
        How long those before go on signing, as 24h; 0s ends them at once.
    signing
        v1 or v1a; else as before.
    secret
        Reference to a secret that the service's machines keep; else one is made.
    """
    from rco.model.wire_endpoints import RotateAsk

    body = RotateAsk(signing=signing, secret=secret, grace_s=None if grace is None else duration_s(grace, "--grace"))
    _made(ask(link, lambda client: client.endpoints.rotate(endpoint, body)), link)


@app.command(name="test")
def send_test(endpoint: str, *, type: str = "rco.endpoint.test.v1", data: JsonText = "null", link: Link = LINK) -> None:
    """Send one message once, to a disabled endpoint too.

    Parameters
    ----------
    endpoint
        Its ID.
    type
        Type of the message.
    data
        Its data as JSON; @FILE reads a file, - reads standard input.
    """
    from rco.model.wire_endpoints import TestAsk

    body = TestAsk(type=type, data=json_value(data, "--data"))
    started = ask(link, lambda client: client.endpoints.test(endpoint, body))
    print_answer(
        started, f"{started.id}; see what came of it: rco endpoint deliveries {endpoint} --limit 1", json=link.json
    )


@app.command
def deliveries(endpoint: str, *, failed: _Flag = False, after: str = "", limit: int = 20, link: Link = LINK) -> None:
    """List deliveries, newest first, and what their attempts came to.

    Parameters
    ----------
    endpoint
        ID of the endpoint.
    failed
        Only those that ended without.
    after
        The last delivery of the page before.
    limit
        How many, up to 50.
    """
    page = ask(link, lambda client: client.endpoints.deliveries(endpoint, after=after, limit=limit, failed=failed))
    if link.json:
        print_json(page)
        return
    rows = [
        (
            one.id,
            one.type,
            one.state,
            " ".join(str(attempt["status"] or attempt["reason"]) for attempt in one.attempts),
            moment(one.opened_at),
            moment(one.next_at),
        )
        for one in page.items
    ]
    print_table(("ID", "Type", "State", "Attempts", "Began", "Next"), rows, nothing="No deliveries.")


@app.command
def replay(endpoint: str, delivery: str, *, key: str | None = None, link: Link = LINK) -> None:
    """Deliver one message again, under the same webhook-id.

    Parameters
    ----------
    endpoint
        ID of the endpoint.
    delivery
        ID of the delivery.
    key
        The same key is the same replay.
    """
    started = ask(link, lambda client: client.endpoints.replay(endpoint, delivery, key=key))
    print_answer(started, started.id, json=link.json)


@app.command(name="replay-many")
def replay_many(
    endpoint: str,
    *,
    after: str | None = None,
    before: str | None = None,
    all: _Flag = False,
    preview: _Flag = False,
    rate: float | None = None,
    reason: str = "",
    key: str | None = None,
    link: Link = LINK,
) -> None:
    """Deliver again what was begun in a span of time and failed, as a bulk.

    Parameters
    ----------
    endpoint
        ID of the endpoint.
    after
        What was begun from then on, as 2026-11-21T10:00:00Z.
    before
        What was begun before that.
    all
        Also what was delivered.
    preview
        Only say how many that is.
    rate
        So many a second.
    reason
        Why, for the evidence.
    key
        The same key is the same bulk.
    """
    from rco.model.wire_endpoints import ReplayMany

    body = ReplayMany(after=after, before=before, all=all, rate_per_s=rate, reason=reason, key=key)
    if preview:
        found = ask(link, lambda client: client.endpoints.preview_replay(endpoint, body))
        print_answer(found, f"{found.count} deliveries", json=link.json)
        return
    started = ask(link, lambda client: client.endpoints.replay_many(endpoint, body))
    print_answer(started, f"{started.id}; see how far it is: rco run progress {started.id}", json=link.json)


def _state(one: EndpointView) -> tuple[str, str]:
    return (one.state, "green" if one.state == "enabled" else "red")


def _made(made: MadeEndpoint, link: Link) -> None:
    if link.json:
        print_json(made)
        return
    print_text(made.endpoint.id)
    if made.secret:
        print_text(f"receivers verify with {made.secret}; it is not shown again")


def _show(one: EndpointView, link: Link) -> None:
    if link.json:
        print_json(one)
        return
    secrets = ", ".join(
        f"{secret.id} ({secret.kind}{'' if secret.expires_at is None else f', until {moment(secret.expires_at)}'})"
        for secret in one.secrets
    )
    rows = [
        ("ID", one.id),
        ("URL", one.url),
        ("Types", " ".join(one.types)),
        ("State", one.state + (f": {one.cause}" if one.cause else "")),
        ("Since", moment(one.since)),
        ("Failing since", moment(one.failing_since)),
        ("Order by", one.order_by or ""),
        ("Rate", "" if one.rate_per_s is None else f"{one.rate_per_s:g}/s"),
        ("Burst", "" if one.burst is None else str(one.burst)),
        ("Secrets", secrets),
        ("Note", one.note),
    ]
    print_table(("", ""), [row for row in rows if row[1]], nothing="Nothing.")
