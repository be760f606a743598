"""``rco principal``: who may use a service, where, and for how long."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from rco.cli.capability import write_token
from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.errors import ConfigInvalid

__all__ = ["app"]

app = App(name="principal", help="Say who may use a service, where, and for how long.")
_Many = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]


@app.command
def create(
    id: str,
    *,
    role: Literal["viewer", "operator", "admin"] = "viewer",
    namespace: _Many = None,
    name: str = "",
    expires: str | None = None,
    out: Path | None = None,
    link: Link = LINK,
) -> None:
    """Make a principal. Prints its token, once: the store keeps only a digest. Needs an administrator's token.

    Parameters
    ----------
    id
        Its identity, as evidence will name it: a-z, 0-9, dot, dash, underscore.
    role
        viewer reads, operator also starts and steers, admin does everything.
    namespace
        Where: give it once for each; '*' for all there are and will be. default when not given.
    name
        For people.
    expires
        How long its token works, such as 90d; until it is revoked when not given.
    out
        Write the token into this new file, mode 0600, instead of printing it.
    """
    from rco.kit.units import parse_duration_s
    from rco.model.wire_tenants import CreatePrincipal

    try:
        ttl_ms = None if expires is None else round(parse_duration_s(expires) * 1000)
    except ValueError as problem:
        raise ConfigInvalid(str(problem), key="--expires") from None
    asked = CreatePrincipal(id=id, role=role, namespaces=namespace or ["default"], name=name, ttl_ms=ttl_ms)
    made = ask(link, lambda client: client.principals.create(asked))
    if out is not None:
        write_token(out, made.token)
    if link.json:
        secret = {"token": made.token} if out is None else {"out": str(out)}
        print_json({"principal": made.principal, **secret})
    elif out is not None:
        until = f", until {moment(made.principal.expires_at)}" if made.principal.expires_at else ""
        print_text(f"{out}: {id}, {role} in {', '.join(made.principal.namespaces)}{until}")
    else:
        sys.stdout.write(made.token + "\n")


@app.command(name="list")
def list_(*, link: Link = LINK) -> None:
    """List principals, without their tokens."""
    page = ask(link, lambda client: client.principals.list())
    if link.json:
        print_json(page)
        return
    rows = [
        (
            one.id,
            one.role,
            " ".join(one.namespaces),
            (one.state, "green" if one.state == "active" else "red"),
            moment(one.expires_at),
            one.by,
        )
        for one in page.items
    ]
    print_table(("ID", "Role", "Namespaces", "State", "Expires", "By"), rows, nothing="There are none.")


@app.command
def revoke(id: str, *, reason: str = "", link: Link = LINK) -> None:
    """Take a principal's token away: at once on the node that answers, on every node within five seconds. What it
    started goes on.

    Parameters
    ----------
    id
        Which one.
    reason
        Why, for the evidence.
    """
    ask(link, lambda client: client.principals.revoke(id, reason))
    print_answer({"revoked": id}, f"revoked {id}", json=link.json)
