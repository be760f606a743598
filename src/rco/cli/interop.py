"""``rco interop``: the kinds of providers, and whether an instance takes and refuses what it should."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.exits import Exit
from rco.cli.output import SHOWN, Shown, print_json, print_table, print_text

__all__ = ["app"]

app = App(name="interop", help="See which senders of webhooks are understood, and put their vectors to an instance.")


@app.command
def providers(kind: str | None = None, *, shown: Shown = SHOWN) -> None:
    """List the kinds of providers, or all that is known of one.

    Parameters
    ----------
    kind
        One kind, e.g. stripe.
    """
    from rco.bridge.providers import CATALOGUE
    from rco.bridge.providers_page import section
    from rco.errors import NotFound

    if kind is not None:
        found = CATALOGUE.get(kind)
        if found is None:
            raise NotFound(f"{kind!r} is not a kind of provider.", cure="List them with rco interop providers.")
        if shown.json:
            print_json({"kind": found.name, "about": found.about})
        else:
            for line in section(found).splitlines():
                print_text(line)
        return
    if shown.json:
        print_json([{"kind": one.name, "about": one.about} for one in CATALOGUE.values()])
        return
    rows = [(one.name, one.about.title, one.about.algorithm, one.about.time) for one in CATALOGUE.values()]
    print_table(("Kind", "Sender", "Algorithm", "Signed time"), rows, nothing="No kinds.")


@app.command
def config(provider: str, *, vectors: Path | None = None) -> None:
    """Print what an instance needs so that the vectors of a provider can be put to it: test secrets, never real ones.

    Parameters
    ----------
    provider
        The kind, e.g. stripe.
    vectors
        Folder of the vectors, if not the published ones.
    """
    from rco.cli.conform.setting import configuration

    sys.stdout.write(configuration(provider, vectors))


@app.command
def conform(
    provider: str,
    *,
    url: Annotated[str | None, Parameter()] = None,
    vectors: Path | None = None,
    shown: Shown = SHOWN,
) -> int:
    """Put a provider's vectors, good and bad, to an instance, and say what it accepted and refused. Status 6 when
    anything was wrong.

    Parameters
    ----------
    provider
        The kind, e.g. stripe.
    url
        A live instance, set up as rco interop config says; requests are signed for the present time. Without it an
        instance of its own is started, with its clock at the time of the vectors.
    vectors
        Folder of the vectors, if not the published ones.
    """
    from rco.cli.conform.cases import load_cases
    from rco.cli.conform.judge import Verdict
    from rco.cli.conform.judge import conform as put

    cases = load_cases(provider, vectors)

    async def collect() -> list[Verdict]:
        return [verdict async for verdict in put(cases, url)]

    verdicts = asyncio.run(collect())
    wrong = [one for one in verdicts if one.right is False]
    skipped = [one for one in verdicts if one.right is None]
    right = len(verdicts) - len(wrong) - len(skipped)
    if shown.json:
        print_json(
            {"provider": provider, "url": url, "ok": not wrong, "right": right, "wrong": wrong, "verdicts": verdicts}
        )
    else:
        styles = {True: ("right", "green"), False: ("WRONG", "bold red"), None: ("not sent", "dim")}
        rows = [
            (styles[one.right], one.provider, "good" if one.good else "bad", one.vector, one.expected, one.got, one.why)
            for one in verdicts
        ]
        print_table(("", "Provider", "", "Vector", "Due", "Answer", ""), rows, nothing="No vectors.")
        said = f"{right} right, {len(wrong)} wrong, {len(skipped)} not sent"
        print_text(said, "red" if wrong else "green")
    return Exit.BROKEN if wrong or not right else Exit.OK
