"""``rco keys``: the root keys that capabilities are minted with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.config_file import config_file
from rco.cli.output import moment, print_answer, print_json, print_table
from rco.errors import ConfigInvalid

__all__ = ["app"]

app = App(name="keys", help="Rotate and list root keys, on this machine.")
_Flag = Annotated[bool, Parameter(negative="")]


@app.command
def rotate(*, payloads: _Flag = False, config: Path | None = None, json: _Flag = False) -> None:
    """Add a root key, and make the keyring if there is none. The new key mints after capability.lead; those before it
    are taken capability.overlap longer. Running services take it up by themselves. With Vault, transit rotates.

    Parameters
    ----------
    payloads
        The root keys that namespaces' keys are wrapped with (encryption.keys), not those of capabilities.
    config
        The configuration that names the keyring; rco-config.yaml here when not given, else defaults.
    json
        As JSON.
    """
    from rco.capability.keyfile import rotate as turn
    from rco.capability.source import ring_path, transit_of
    from rco.config import Secrets, load
    from rco.config.rings import payload_ring
    from rco.kit.clock import SystemClock
    from rco.kit.ids import Ids

    settings = load(config_file(config), os.environ).settings
    options, clock = payload_ring(settings) if payloads else settings.capability, SystemClock()
    if options.keys == "vault":
        ring, where = transit_of(options, settings.vault, Secrets(os.environ)).rotate(), settings.vault.address
    elif options.keys.startswith("env:"):
        raise ConfigInvalid(
            "a keyring in the environment cannot be written", cure="Rotate it where it is kept.", key="capability.keys"
        )
    else:
        path = ring_path(options, Path(settings.data_dir) / "keyring.json")
        where = str(path)
        ring = turn(path, ids=Ids(clock), now_us=clock.now_us(), lead_s=options.lead_s, overlap_s=options.overlap_s)
    newest = ring.states(clock.now_us())[0]
    print_answer(
        {"keyring": where, "added": newest},
        f"{where}: added {newest.kid}, mints from {moment(newest.mint_from)}",
        json=json,
    )


@app.command(name="list")
def list_(*, payloads: _Flag = False, config: Path | None = None, json: _Flag = False) -> None:
    """List the root keys, without their secrets.

    Parameters
    ----------
    payloads
        The root keys that namespaces' keys are wrapped with (encryption.keys), not those of capabilities.
    config
        The configuration that names the keyring; rco-config.yaml here when not given, else defaults.
    json
        As JSON.
    """
    from rco.capability.source import source_of
    from rco.config import Secrets, load
    from rco.config.rings import payload_ring
    from rco.kit.clock import SystemClock

    settings = load(config_file(config), os.environ).settings
    default = Path(settings.data_dir) / "keyring.json"
    options = payload_ring(settings) if payloads else settings.capability
    read = source_of(options, settings.vault, default, Secrets(os.environ))
    states = read().states(SystemClock().now_us())
    if json:
        print_json({"items": states})
        return
    rows = [
        (one.kid, one.version, one.state, moment(one.created_at), moment(one.mint_from), moment(one.accept_until))
        for one in states
    ]
    print_table(("Key", "Version", "State", "Made", "Mints from", "Taken until"), rows, nothing="No keys.")
