"""``rco export``: runs and journals out of a database, in a form that others can read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rco.cli.output import print_answer
from rco.cli.place import find_place
from rco.cli.shelf import open_shelf
from rco.cli.whole import whole_file
from rco.errors import ConfigInvalid

__all__ = ["export"]

_Flag = Annotated[bool, Parameter(negative="")]


def export(
    out: Path,
    *,
    config: Path | None = None,
    store: str | None = None,
    payloads: _Flag = False,
    inline: _Flag = False,
    wrapped_keys: _Flag = False,
    json: _Flag = False,
) -> None:
    """Export runs, journals and links as JSON lines: one moment of the database, whether a service uses it or not.

    Parameters
    ----------
    out
        File to write, complete or not at all, readable by its owner only.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: a SQLite file, or postgresql://...
    payloads
        With inputs, results and reasons, and the bytes that the chain sealed; otherwise their digests only.
    inline
        Also the payloads that are in the object store, as they are kept there, beside what refers to them. Needs the
        configuration that names it, and --payloads.
    wrapped_keys
        With the keys of encrypted namespaces, as the store has them: encrypted under root keys. Who has the keyring can
        look into this file, and erasing a key does not reach it.
    json
        What was written, as JSON.
    """
    import rco
    from rco.kit.clock import SystemClock
    from rco.operations.export_runs import Counts, export_runs
    from rco.store.opening import open_snapshot

    if inline and not payloads:
        raise ConfigInvalid("--inline says what --payloads does not ask for", cure="Give both.")
    counts = Counts()
    place = find_place(config, store)
    with (
        open_snapshot(place.where, place.options) as snapshot,
        open_shelf(config, snapshot.payload_space) as fetch,
    ):
        lines = export_runs(
            snapshot,
            at_us=SystemClock().now_us(),
            version=rco.__version__,
            payloads=payloads,
            wrapped_keys=wrapped_keys,
            counts=counts,
            fetch=fetch if inline else None,
        )
        # A broken-off export must never look like a whole one.
        with whole_file(out) as file:
            file.writelines(lines)
    print_answer(counts, f"{out}: {counts.runs} runs, {counts.records} records, {counts.links} links", json=json)
    sys.stdout.flush()
