"""``rco capability``: mint, look into, narrow and revoke capabilities.

A token never stands on a command line, where other users of the machine read it: it comes by standard input or from a
file, and goes to standard output or into one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.output import moment, print_answer, print_json, print_table, print_text
from rco.cli.reach import LINK, Link, ask
from rco.errors import ConfigInvalid, NotFound

__all__ = ["app", "write_token"]

app = App(name="capability", help="Mint, inspect, narrow and revoke capabilities.")
_Many = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]
_TOKEN_BYTES_MAX = 16_384


@app.command
def mint(
    *,
    scope: _Many = None,
    ttl: str = "60s",
    corr_id: str = "",
    body: str = "",
    out: Path | None = None,
    link: Link = LINK,
) -> None:
    """Mint a capability. Prints the token, once: it is kept nowhere. Needs an administrator's token.

    Parameters
    ----------
    scope
        What it allows, such as run:start:fulfil or call:stock:GET:/items/**. Give it once for each.
    ttl
        How long it lives, such as 60s or 10m.
    corr_id
        Bind it to the request with this correlation id.
    body
        Bind it to the body with this address, b3: and 64 hexadecimal digits.
    out
        Write the token into this new file, mode 0600, instead of printing it.
    """
    from rco.model.wire_capabilities import MintAsk

    asked = MintAsk(scopes=scope or [], ttl_ms=round(_seconds(ttl) * 1000), corr_id=corr_id, body=body)
    minted = ask(link, lambda client: client.mint(asked))
    if out is not None:
        write_token(out, minted.token)
    if link.json:
        shown = {"id": minted.id, "kid": minted.kid, "expires_at": minted.expires_at}
        print_json(shown | ({"out": str(out)} if out is not None else {"token": minted.token}))
    elif out is not None:
        print_text(f"{out}: {minted.id}, good until {moment(minted.expires_at)}")
    else:
        sys.stdout.write(minted.token + "\n")


@app.command
def inspect(
    file: Path | None = None,
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    scope: str = "",
    link: Link = LINK,
) -> int:
    """Show what a token says. Without --check nobody is asked, and nothing is proved. With it, status 4 when it is no
    good.

    Parameters
    ----------
    file
        File that holds the token; standard input when not given.
    check
        Ask a service whether it is good there now.
    scope
        With --check: whether it covers this action, such as run:start:fulfil.
    """
    from rco.capability.token import parse
    from rco.model.wire_capabilities import CheckAsk

    text = _token(file)
    token = parse(text)
    said: dict[str, object] = {
        "id": token.id,
        "kid": token.kid,
        "caveats": [raw.decode("ascii", "backslashreplace") for raw in token.caveats],
    }
    if check:
        view = ask(link, lambda client: client.check_capability(CheckAsk(token=text, scope=scope)))
        said |= {"good": view.good, "reason": view.reason}
    if link.json:
        print_json(said)
    else:
        print_text(f"id      {token.id}")
        print_text(f"key     {token.kid}")
        for raw in token.caveats:
            print_text(f"caveat  {raw.decode('ascii', 'backslashreplace')}")
        if check:
            print_text(f"good    {'yes' if said['good'] else 'no: ' + str(said['reason'])}")
    return 0 if said.get("good", True) else 4


@app.command
def attenuate(
    file: Path | None = None,
    *,
    scope: _Many = None,
    ttl: str | None = None,
    caveat: _Many = None,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Narrow a token and print the narrower one. Needs no service and no key. What is added cannot be taken away.

    Parameters
    ----------
    file
        File that holds the token; standard input when not given.
    scope
        Allow only this, of what it allows. Give it once for each.
    ttl
        Let it live at most this long from now, such as 60s.
    caveat
        Any other caveat as name=value, such as corr=01HZ... Give it once for each.
    out
        Write the token into this new file, mode 0600, instead of printing it.
    json
        As JSON.
    """
    from rco.capability.caveat import caveat as made
    from rco.capability.scope import scopes_text
    from rco.capability.token import attenuated, parse
    from rco.kit.clock import MICROS, SystemClock

    token = parse(_token(file))
    try:
        more = [made("act", scopes_text(tuple(scope)))] if scope else []
        if ttl is not None:
            more.append(made("exp", int(SystemClock().now_us() / MICROS + _seconds(ttl))))
        for one in caveat or []:
            name, _, value = one.partition("=")
            more.append(made(name, value))
    except ValueError as problem:
        raise ConfigInvalid(str(problem), cure="See docs/reference/capabilities.md.") from None
    if not more:
        raise ConfigInvalid("nothing is added", cure="Give --scope, --ttl or --caveat.")
    narrower = str(attenuated(token, *more))
    if out is not None:
        write_token(out, narrower)
    if json:
        print_json({"id": token.id} | ({"out": str(out)} if out is not None else {"token": narrower}))
    elif out is None:
        sys.stdout.write(narrower + "\n")


@app.command
def revoke(
    *,
    reason: str,
    id: str | None = None,
    kid: str | None = None,
    namespace: str | None = None,
    link: Link = LINK,
) -> None:
    """Revoke: one capability with all that was made from it, all of one key, or all of a namespace that there are.
    Runs that hold them make no call any more. On every node within a second. Needs an administrator's token.

    Parameters
    ----------
    reason
        Why, for the evidence.
    id
        The capability with this id.
    kid
        Every capability under this key.
    namespace
        Every capability of this namespace that there is now.
    """
    from rco.model.wire_capabilities import RevokeAsk

    given = [(kind, name) for kind, name in (("id", id), ("kid", kid), ("epoch", namespace)) if name]
    if len(given) != 1:
        raise ConfigInvalid("say what to revoke, once", cure="Give one of --id, --kid and --namespace.")
    kind, name = given[0]
    asked = RevokeAsk(kind=kind, name=name, reason=reason)  # type: ignore[arg-type]
    done = ask(link, lambda client: client.revoke(asked))
    print_answer(done, f"revoked {kind} {name}" + (f", epoch {done.epoch}" if done.epoch else ""), json=link.json)


@app.command
def revoked(*, after: int = 0, limit: int = 100, link: Link = LINK) -> None:
    """List what was revoked, oldest first.

    Parameters
    ----------
    after
        Go on behind this number.
    limit
        How many, at most 500.
    """
    page = ask(link, lambda client: client.revocations(after=after, limit=limit))
    if link.json:
        print_json(page)
        return
    rows = [(one.seq, one.kind, one.name, one.epoch or "", moment(one.at), one.actor, one.reason) for one in page.items]
    print_table(("No", "Kind", "Name", "Epoch", "At", "By", "Reason"), rows, nothing="Nothing was revoked.")
    if page.next is not None:
        print_text(f"More: --after {page.next}", "dim")


def _seconds(text: str) -> float:
    from rco.kit.units import parse_duration_s

    try:
        return parse_duration_s(text)
    except ValueError as problem:
        raise ConfigInvalid(str(problem), key="--ttl") from None


def _token(file: Path | None) -> str:
    try:
        if file is None:
            raw = sys.stdin.buffer.read(_TOKEN_BYTES_MAX)
        else:
            with file.open("rb") as opened:
                raw = opened.read(_TOKEN_BYTES_MAX)
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}.", cure="Name the file of a token.") from None
    return raw.decode("utf-8", "replace").strip()


def write_token(out: Path, token: str) -> None:
    """Put ``token`` into a new file of mode 0600. Raises ``ConfigInvalid`` when there is a file of that name."""
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigInvalid(f"{out} is there already", cure="Name a new file.") from None
    with os.fdopen(handle, "w") as file:
        file.write(token + "\n")
