"""``rco verify``: the checker of whole deployments. The work is ``rco.verify``'s, which knows nothing of RCO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rco.cli.output import print_json
from rco.errors import ConfigInvalid

__all__ = ["verify"]

_Flag = Annotated[bool, Parameter(negative="")]


def verify(
    export: Path,
    *,
    client: Path | None = None,
    ledger: list[Path] | None = None,
    targets: Path | None = None,
    rules: str = "abcdefghi",
    settled: _Flag = False,
    late: str = "5s",
    skew: str = "0s",
    jitter: str = "100ms",
    link: str | None = None,
    keyring: str | None = None,
    json: _Flag = False,
) -> int:
    """Check a deployment by its records: nine rules, one verdict each.

    Status 0 when every rule holds or has nothing to hold for, 6 when one is broken, 1 when one could not be looked at.

    Parameters
    ----------
    export
        What rco export wrote.
    client
        The client's log.
    ledger
        A target's own ledger; give it again for more.
    targets
        Limits of the targets, as JSON.
    rules
        Letters of the rules to check.
    settled
        The faults have stopped and nothing more is to come: every run must be closed.
    late
        How late a timer may be.
    skew
        How far the clocks of client, target and service may be apart.
    jitter
        How much a gap between two requests may shrink on the way.
    link
        A link as noted outside, as N:HASH, or CHAIN:N:HASH where there are several chains.
    keyring
        Where the root keys are, to look into encrypted runs: file:/path or env:NAME. Needs an export with --payloads
        and --wrapped-keys. The keys themselves are never given here.
    json
        The verdict as JSON.
    """
    import os
    import sys

    from rco.cli.exits import Exit
    from rco.verify import Options, Unreadable, check
    from rco.verify.case import Ledger
    from rco.verify.sealed import read_keyring
    from rco.verify.sources import read_client, read_export, read_ledger, read_targets

    if not rules or set(rules) - set("abcdefghi"):
        raise ConfigInvalid(f"{rules!r} does not name rules", cure="Give letters from a to i.", key="--rules")
    options = Options(
        settled=settled,
        late_us=_micros(late, "--late"),
        skew_us=_micros(skew, "--skew"),
        jitter_us=_micros(jitter, "--jitter"),
        link=None if link is None else _link(link)[1:],
        link_chain="" if link is None else _link(link)[0],
        rules=rules,
    )
    try:
        verdict = check(
            read_export(export),
            client=None if client is None else read_client(client),
            ledger=None if not ledger else Ledger(read_ledger(ledger)),
            targets=None if targets is None else read_targets(targets),
            options=options,
            keyring=None if keyring is None else read_keyring(keyring, os.environ),
        )
    except Unreadable as problem:
        raise ConfigInvalid(str(problem), cure="See docs/reference/verify-formats.md.") from None
    if json:
        print_json(verdict)
    else:
        sys.stdout.write(verdict.text())
    if verdict.failed:
        return Exit.BROKEN
    return Exit.FAILED if verdict.unknown else Exit.OK


def _micros(text: str, option: str) -> int:
    from rco.kit.units import parse_duration_s

    try:
        return int(parse_duration_s(text) * 1_000_000)
    except ValueError as problem:
        raise ConfigInvalid(str(problem), key=option) from None


def _link(text: str) -> tuple[str, int, str]:
    place, _, noted = text.rpartition(":")
    chain, _, number = place.rpartition(":")
    if not (number.isascii() and number.isdigit() and len(noted) == 64):
        raise ConfigInvalid(f"{text!r} is not a link", cure="Write its number, a colon and its hash.", key="--link")
    return chain, int(number), noted
