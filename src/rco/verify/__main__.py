"""``python -m rco.verify``: the checker without the rest of the command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from rco.verify.case import Ledger
from rco.verify.check import check
from rco.verify.options import Options
from rco.verify.sealed import read_keyring
from rco.verify.sources import Unreadable, read_client, read_export, read_ledger, read_targets

__all__ = ["main"]

FAILED, UNKNOWN, USAGE = 6, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """0: every rule that was asked for holds or has nothing to hold for; 6: one is broken; 1: none is broken, but one
    could not be looked at; 2: a record cannot be read or the command is wrong."""
    parser = argparse.ArgumentParser(prog="rco verify", description="Check a deployment by its records.")
    parser.add_argument("export", type=Path, metavar="EXPORT", help="what rco export wrote")
    parser.add_argument("--client", type=Path, metavar="FILE", help="the client's log")
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", action="append", help="a target's ledger; again for more"
    )
    parser.add_argument("--targets", type=Path, metavar="FILE", help="limits of the targets, as JSON")
    parser.add_argument("--rules", default="abcdefghi", help="letters of the rules to check; all when not given")
    parser.add_argument("--settled", action="store_true", help="faults have stopped: every run must be closed")
    parser.add_argument("--late-ms", type=float, default=5000.0, help="how late a timer may be")
    parser.add_argument("--skew-ms", type=float, default=0.0, help="how far clocks may be apart")
    parser.add_argument("--jitter-ms", type=float, default=100.0, help="how much a gap between requests may shrink")
    parser.add_argument("--link", metavar="[CHAIN:]N:HASH", help="a link as noted outside")
    parser.add_argument(
        "--keyring", metavar="REF", help="file:/path or env:NAME of the root keys, to look into encrypted runs"
    )
    parser.add_argument("--json", action="store_true", help="the verdict as one JSON object")
    asked = parser.parse_args(arguments)
    if not asked.rules or set(asked.rules) - set("abcdefghi"):
        parser.error(f"--rules {asked.rules!r}: letters from a to i")
    place, _, noted = (asked.link or "").rpartition(":")
    chain, _, number = place.rpartition(":")
    if asked.link is not None and not (number.isascii() and number.isdigit() and len(noted) == 64):
        parser.error(f"--link {asked.link!r}: a number, a colon, and the 64 digits of its hash")
    options = Options(
        settled=asked.settled,
        late_us=int(asked.late_ms * 1000),
        skew_us=int(asked.skew_ms * 1000),
        jitter_us=int(asked.jitter_ms * 1000),
        link=(int(number), noted) if asked.link is not None else None,
        link_chain=chain,
        rules=asked.rules,
    )
    try:
        verdict = check(
            read_export(asked.export),
            client=read_client(asked.client) if asked.client is not None else None,
            ledger=Ledger(read_ledger(asked.ledger)) if asked.ledger is not None else None,
            targets=read_targets(asked.targets) if asked.targets is not None else None,
            options=options,
            keyring=None if asked.keyring is None else read_keyring(asked.keyring, os.environ),
        )
    except Unreadable as problem:
        sys.stderr.write(f"rco: {problem}\n")
        return USAGE
    sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n" if asked.json else verdict.text())
    if verdict.failed:
        return FAILED
    return UNKNOWN if verdict.unknown else 0


if __name__ == "__main__":
    sys.exit(main())
