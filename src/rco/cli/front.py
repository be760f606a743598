"""What ``rco`` and ``rco --help`` show: written here, because what parses commands takes five times as long to load."""

from __future__ import annotations

from rco.cli.commands import COMMANDS
from rco.cli.exits import MEANING

__all__ = ["ABOUT", "front_page", "wants_front"]

_STATUSES = "\n".join(f"  {status.value:>3}  {text}" for status, text in MEANING.items())
ABOUT = f"""\
The Remote-Call Orchestrator: verified events in, durable workflows, governed
calls out, evidence of every step.

Commands that talk to a service find it by --url and --token-file, by RCO_URL
and RCO_TOKEN_FILE, or by the data folder of a service that runs here
(RCO_DATA_DIR, else .rco).

Exit statuses:
{_STATUSES}
"""


def wants_front(arguments: list[str]) -> bool:
    """Whether the command line asks for nothing but this page."""
    return arguments in ([], ["--help"], ["-h"])


def front_page() -> str:
    """The page as plain text, commands in their groups, for a terminal of 80 columns or more."""
    width = max(len(command.name) for command in COMMANDS)
    lines = ["Usage: rco COMMAND", "", ABOUT.rstrip()]
    group = ""
    for command in COMMANDS:
        if command.group != group:
            group = command.group
            lines += ["", f"{group}:"]
        lines.append(f"  {command.name:<{width}}  {command.help}")
    lines += ["", "rco COMMAND --help says more; rco --version which release this is.", ""]
    return "\n".join(lines)
