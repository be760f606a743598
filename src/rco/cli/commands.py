"""Every command: where it lives, its name, what it does. A new one is a line here and a file beside it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "Command"]


class Command(NamedTuple):
    """``where`` is imported only when the command is asked for; ``group`` is where the front page shows it."""

    where: str
    name: str
    help: str
    group: str


_SERVICE, _WORK, _TRUST, _CARE = "The service", "What it does", "Trust and evidence", "Looking after it"

COMMANDS = (
    Command(
        "rco.cli.serve:dev", "dev", "Run an application with defaults, and again whenever its code changes.", _SERVICE
    ),
    Command("rco.cli.serve:serve", "serve", "Run a service from a configuration.", _SERVICE),
    Command("rco.cli.migrate:migrate", "migrate", "Bring a database to this release's schema.", _SERVICE),
    Command(
        "rco.cli.config:app", "config", "Check a configuration, and explain where each value comes from.", _SERVICE
    ),
    Command("rco.cli.demo:demo", "demo", "Run the main job end to end, from a checkout.", _SERVICE),
    Command(
        "rco.cli.version:app", "version", "Say which release this is; see the versions of code, move runs.", _SERVICE
    ),
    Command("rco.cli.run:app", "run", "Start, watch and steer runs.", _WORK),
    Command("rco.cli.schedule:app", "schedule", "Start workflows by the clock.", _WORK),
    Command("rco.cli.queue:app", "queue", "See who waits for their turn, and pause queues.", _WORK),
    Command("rco.cli.events:app", "events", "Look at accepted events, and replay them.", _WORK),
    Command("rco.cli.letters:app", "letters", "Look at dead letters, replay or dismiss them.", _WORK),
    Command(
        "rco.cli.targets:app", "target", "Look at the downstream APIs that may be called; close and open them.", _WORK
    ),
    Command("rco.cli.endpoint:app", "endpoint", "Send webhooks to endpoints, and see what was delivered.", _WORK),
    Command(
        "rco.cli.interop:app", "interop", "See which senders of webhooks are understood, and test an instance.", _WORK
    ),
    Command("rco.cli.tail:tail", "tail", "Follow what a service decides, as it decides it.", _WORK),
    Command("rco.cli.capability:app", "capability", "Mint, inspect, narrow and revoke capabilities.", _TRUST),
    Command("rco.cli.keys:app", "keys", "Rotate and list root keys, on this machine.", _TRUST),
    Command("rco.cli.namespace:app", "namespace", "Make namespaces, and say what each may have.", _TRUST),
    Command("rco.cli.principal:app", "principal", "Say who may use a service, where, and for how long.", _TRUST),
    Command(
        "rco.cli.namespace_keys:app",
        "namespace-key",
        "Encrypt the payloads of a namespace, and erase them by erasing its key.",
        _TRUST,
    ),
    Command("rco.cli.audit:app", "audit", "Export evidence, and verify it without a service.", _TRUST),
    Command("rco.cli.verify:verify", "verify", "Check a deployment by its records: nine rules.", _TRUST),
    Command("rco.cli.doctor:doctor", "doctor", "Say what is wrong with a deployment, and what to do about it.", _CARE),
    Command("rco.cli.nodes:app", "node", "See which processes own the work, and take one out of service.", _CARE),
    Command("rco.cli.retention:app", "retention", "See what is dropped when its time is over, and drop it now.", _CARE),
    Command(
        "rco.cli.payloads:app",
        "payloads",
        "See the payloads in the object store, and remove what nothing refers to.",
        _CARE,
    ),
    Command("rco.cli.store:app", "store", "Trim what is old out of a store, and accept what it lost.", _CARE),
    Command("rco.cli.datasource:app", "datasource", "Prepare databases of your own for transactional steps.", _CARE),
    Command("rco.cli.outbox:app", "outbox", "Start runs and send signals by SQL, inside your own transactions.", _CARE),
    Command("rco.cli.backup:backup", "backup", "Copy a database while a service uses it.", _CARE),
    Command("rco.cli.backup:restore", "restore", "Put a backup in the place of a database.", _CARE),
    Command("rco.cli.export:export", "export", "Export runs and journals, in a form that others can read.", _CARE),
    Command("rco.cli.replay:replay", "replay", "Say whether recorded runs fit the code there is.", _CARE),
    Command("rco.cli.drill:app", "drill", "Break something on purpose, under load, and see what holds.", _CARE),
    Command("rco.cli.bench:bench", "bench", "Measure your machine with your database, and say what binds.", _CARE),
)
