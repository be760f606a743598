"""The reference of everything that can be observed, generated from the tables the code itself uses."""

from __future__ import annotations

from rco.telemetry.fields import ALWAYS, FIELDS
from rco.telemetry.signals import CATALOGUE

__all__ = ["catalogue_markdown"]


def catalogue_markdown() -> str:
    """The catalogue of metrics and log fields as Markdown. The same text at every call."""
    lines = [
        "# What can be observed",
        "",
        "## Metrics",
        "",
        "| name | kind | labels | what it tells |",
        "| --- | --- | --- | --- |",
    ]
    for signal in CATALOGUE:
        labels = " ".join(f"`{label}`" for label in signal.labels)
        buckets = f" Bounds: {' '.join(f'{bound:g}' for bound in signal.buckets)}." if signal.buckets else ""
        lines.append(f"| `{signal.name}` | {signal.kind} | {labels} | {signal.help}{buckets} |")
    lines += [
        "",
        "The operating system's view of the process comes beside these, under its usual `process_*` names.",
        "",
        "## Log fields",
        "",
        "One JSON object a line. No field is written that is not in this table.",
        "",
        "| field | always | what it holds |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{name}` | {'yes' if name in ALWAYS else ''} | {what} |" for name, what in FIELDS.items()]
    return "\n".join(lines) + "\n"
