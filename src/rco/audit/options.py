"""What can be set about where decisions go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["AuditOptions", "SinkName", "faults"]

SinkName = Literal["store", "stdout", "file", "memory"]


class AuditOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bridge's decisions go. What is decided in one commit with what it is about (an acceptance) is in the
    store's chain in any case. Changes with a restart."""

    sinks: list[SinkName] = msgspec.field(default_factory=lambda: ["store"])
    """`store`: the audit chain; `stdout`: JSON lines beside the log; `file`: JSON lines in `file`; `memory`: the last
    `ring` of them, at `/v1/audit/recent`."""
    file: str = ""
    """The file of the sink `file`: made with mode 0600, only ever appended to, opened anew at SIGHUP."""
    ring: Annotated[int, Meta(ge=1, le=100_000)] = 1024
    """So many decisions are kept by the sink `memory`."""
    queue: Annotated[int, Meta(ge=1, le=1_000_000)] = 512
    """So many decisions may wait for a sink; over it the oldest is dropped and counted."""


def faults(options: AuditOptions, *, amnesia: bool) -> Iterator[tuple[str, str, str]]:
    """What is wrong: key, message, cure."""
    if len(set(options.sinks)) != len(options.sinks):
        yield "audit.sinks", "names a sink twice", "Name each once."
    if not options.sinks:
        yield "audit.sinks", "is empty: refusals would leave no trace", 'Write e.g. ["store"].'
    if amnesia and ("file" in options.sinks or options.file):
        yield "audit.sinks", "has a file, and with amnesia nothing is written to one", "Use memory, stdout and store."
    elif "file" in options.sinks and not options.file:
        yield "audit.file", "is missing, as the sinks have a file", "Name one, e.g. /var/log/svc-interop/audit.jsonl."
    elif options.file and "file" not in options.sinks:
        yield "audit.file", "is given, and no sink uses it", 'Add "file" to audit.sinks.'
