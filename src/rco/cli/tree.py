"""The tree of commands. Groups are named by where they are, so that only the one asked for is imported."""

from __future__ import annotations

from cyclopts import App

import rco
from rco.cli.exits import MEANING

__all__ = ["make_app"]

_STATUSES = "\n".join(f"  {status.value:>3}  {text}" for status, text in MEANING.items())
_HELP = f"""\
The Remote-Call Orchestrator: verified events in, durable workflows, governed calls out, evidence of every step.

Commands that talk to a service find it by --url and --token-file, by RCO_URL and RCO_TOKEN_FILE, or by the data
folder of a service that runs here (RCO_DATA_DIR, else .rco).

Exit statuses:
{_STATUSES}
"""


def make_app() -> App:
    """The command line. Usable once: parsing leaves traces in it."""
    app = App(
        name="rco",
        help=_HELP,
        help_format="plaintext",
        version=rco.__version__,
    )
    for where, name, help in (
        ("rco.cli.serve:dev", "dev", "Run an application with defaults, and again whenever its code changes."),
        ("rco.cli.serve:serve", "serve", "Run a service from a configuration."),
        ("rco.cli.migrate:migrate", "migrate", "Bring a database to this release's schema."),
        ("rco.cli.run:app", "run", "Start, watch and steer runs."),
        ("rco.cli.schedule:app", "schedule", "Start workflows by the clock."),
        ("rco.cli.events:app", "events", "Look at accepted events, and replay them."),
        ("rco.cli.letters:app", "letters", "Look at dead letters, and replay them."),
        ("rco.cli.targets:app", "targets", "Look at the downstream APIs that may be called."),
        ("rco.cli.capability:app", "capability", "Mint, inspect, narrow and revoke capabilities."),
        ("rco.cli.keys:app", "keys", "Rotate and list the root keys of capabilities, on this machine."),
        ("rco.cli.audit:app", "audit", "Export evidence, and verify it without a service."),
        ("rco.cli.doctor:doctor", "doctor", "Say what is wrong with a deployment, and what to do about it."),
        ("rco.cli.bench:bench", "bench", "Measure your machine with your database, and say what binds."),
        ("rco.cli.nodes:app", "node", "See which processes own the work, and take one out of service."),
        ("rco.cli.store:app", "store", "Trim what is old out of a store, and accept what it lost."),
        ("rco.cli.export:export", "export", "Export runs and journals, in a form that others can read."),
        ("rco.cli.replay:replay", "replay", "Say whether recorded runs fit the code there is."),
        ("rco.cli.verify:verify", "verify", "Check a deployment by its records: nine rules."),
        ("rco.cli.backup:backup", "backup", "Copy a database while a service uses it."),
        ("rco.cli.backup:restore", "restore", "Put a backup in the place of a database."),
        ("rco.cli.interop:app", "interop", "See which senders of webhooks are understood, and test an instance."),
        ("rco.cli.config:app", "config", "Check a configuration, and explain where each value comes from."),
        ("rco.cli.demo:demo", "demo", "Run the main job end to end, from a checkout."),
        ("rco.cli.version:version", "version", "Say which release this is."),
    ):
        app.command(where, name=name, help=help)
    return app
