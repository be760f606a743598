"""``rco namespace-key``: the keys that payloads are encrypted with, one namespace at a time."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.output import moment, print_answer, print_json, print_table
from rco.cli.reach import LINK, Link, ask
from rco.errors import Misuse

__all__ = ["app"]

app = App(name="namespace-key", help="Encrypt the payloads of a namespace, and erase them by erasing its key.")
_Flag = Annotated[bool, Parameter(negative="")]


@app.command
def create(*, namespace: str, reason: str, link: Link = LINK) -> None:
    """Give a namespace its first key. What is written from now on is encrypted; what was written before stays as it is.
    Needs an administrator's token.

    Parameters
    ----------
    namespace
        Whose payloads are to be encrypted.
    reason
        Why, for the evidence.
    """
    from rco.model.wire_namespace_keys import NamespaceKeyAsk

    made = ask(link, lambda client: client.namespace_keys.create(NamespaceKeyAsk(namespace=namespace, reason=reason)))
    print_answer(
        made,
        f"{made.namespace}: key {made.version} ({made.id}) encrypts from {moment(made.encrypts_from)}",
        json=link.json,
    )


@app.command
def rotate(*, namespace: str, reason: str, link: Link = LINK) -> None:
    """Give a namespace its next key, and wrap those it has under the newest root key. Those before it go on decrypting
    what they encrypted. Needs an administrator's token.

    Parameters
    ----------
    namespace
        Whose key.
    reason
        Why, for the evidence.
    """
    from rco.model.wire_namespace_keys import NamespaceKeyAsk

    made = ask(link, lambda client: client.namespace_keys.rotate(NamespaceKeyAsk(namespace=namespace, reason=reason)))
    print_answer(
        made,
        f"{made.namespace}: key {made.version} ({made.id}) encrypts from {moment(made.encrypts_from)}",
        json=link.json,
    )


@app.command(name="list")
def list_(*, link: Link = LINK) -> None:
    """List every key there is or was, without its bytes."""
    page = ask(link, lambda client: client.namespace_keys.list())
    if link.json:
        print_json(page)
        return
    rows = [
        (one.namespace, one.version, one.state, one.id, one.root_kid, moment(one.made_at), moment(one.erased_at))
        for one in page.items
    ]
    print_table(("Namespace", "Version", "State", "ID", "Root", "Made", "Erased"), rows, nothing="No keys.")


@app.command
def erase(*, namespace: str, reason: str, yes: _Flag = False, link: Link = LINK) -> None:
    """Erase every key of a namespace, and with them every payload that they encrypted. There is no way back. Its open
    runs are blocked; names, times and evidence stay. Needs an administrator's token.

    Parameters
    ----------
    namespace
        Whose payloads.
    reason
        Why, for the evidence.
    yes
        Do not ask whether that is meant.
    """
    from rco.model.wire_namespace_keys import NamespaceKeyAsk

    if not yes:
        _confirm(namespace)
    done = ask(link, lambda client: client.namespace_keys.erase(NamespaceKeyAsk(namespace=namespace, reason=reason)))
    print_answer(
        done,
        f"{done.namespace}: {done.keys} keys erased" if done.keys else f"{done.namespace}: erased before",
        json=link.json,
    )


def _confirm(namespace: str) -> None:
    if not sys.stdin.isatty():
        raise Misuse("erasing cannot be undone, and nobody is there to ask.", cure="Add --yes.")
    sys.stderr.write(f"All payloads of namespace {namespace!r} will be unreadable for good. Type its name to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != namespace:
        raise Misuse("that is not its name; nothing was erased.")
