"""The SQL that is put into users' databases: printed or applied by ``rco datasource init`` and ``rco outbox init``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

from rco.errors import ConfigInvalid

__all__ = ["ROLE", "outbox", "steps"]

ROLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")


def _text(name: str) -> str:
    return files("rco.datasource").joinpath("sql", name).read_text(encoding="utf-8")


def quoted(roles: Sequence[str], key: str) -> str:
    """Names of roles as SQL. Raises ``ConfigInvalid`` for what is none."""
    for role in roles:
        if not ROLE.fullmatch(role):
            raise ConfigInvalid(f"{role!r} is not the name of a role", cure="Give the name alone.", key=key)
    return ", ".join(f'"{role}"' for role in roles)


def steps(nodes: Sequence[str] = ()) -> str:
    """The table of transactional steps. ``nodes``: roles of RCO's nodes that get what they need and no more."""
    script = _text("step.sql")
    if nodes:
        names = quoted(nodes, "--node")
        script += (
            f"\nGRANT USAGE ON SCHEMA rco TO {names};\n"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON rco.rco_step TO {names};\n"
        )
    return script


def outbox(applications: Sequence[str] = (), nodes: Sequence[str] = ()) -> str:
    """The outbox. ``applications``: roles that may call its functions and see none of its tables. ``nodes``: roles of
    RCO's nodes that read it."""
    script = _text("outbox.sql")
    if applications:
        names = quoted(applications, "--application")
        script += f"\nGRANT USAGE ON SCHEMA rco_outbox TO {names};\n"
        for function in (
            "start(text, jsonb, text, text, text)",
            "signal(text, jsonb, text, uuid, text, text)",
            "emit(text, jsonb, text, text, text, text)",
        ):
            script += f"GRANT EXECUTE ON FUNCTION rco_outbox.{function} TO {names};\n"
    if nodes:
        names = quoted(nodes, "--node")
        script += (
            f"\nGRANT USAGE ON SCHEMA rco_outbox TO {names};\n"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON rco_outbox.entry, rco_outbox.dead_letter TO {names};\n"
            f"GRANT SELECT, UPDATE ON rco_outbox.lane, rco_outbox.doorbell TO {names};\n"
        )
    return script
