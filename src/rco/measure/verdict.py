"""What binds, in words: the CPU, the disk's flush, the way to the database, or the limits that were set."""

from __future__ import annotations

import msgspec

from rco.measure.deployment import Seen

__all__ = ["Verdict", "judge"]

_COMMITS = 2
"""Of a one-step run: its start, and its step with its end."""
_BUSY = 0.8
_NO_FLUSH_PER_S = 25_000
"""More flushes a second than disks that keep what they are given have been seen to do."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``latency`` and ``throughput``: what binds one run at a time, and many: ``cpu``, ``fsync`` or ``network``.
    ``limits``: settings that bind before either. ``words`` say it, and what would help; ``warnings`` what makes the
    figures worth less."""

    latency: str
    throughput: str
    limits: list[str]
    words: list[str]
    warnings: list[str]


def judge(seen: Seen, *, events_per_s: float) -> Verdict:
    """The verdict on what was seen. ``events_per_s`` is ``limits.max_rps`` of the deployment."""
    latency, latency_words = _latency(seen)
    throughput, throughput_words = _throughput(seen)
    limits, limit_words = _limits(seen, events_per_s)
    return Verdict(
        latency=latency,
        throughput=throughput,
        limits=limits,
        words=[latency_words, throughput_words, limit_words],
        warnings=_warnings(seen),
    )


def _latency(seen: Seen) -> tuple[str, str]:
    parts = _waiting(seen)
    # What neither the disk nor the way takes is the work of node and database.
    parts["cpu"] = max(0.0, seen.one_step_ms - sum(parts.values()))
    binds = max(parts, key=lambda name: parts[name])
    share = parts[binds] / seen.one_step_ms
    why = {
        "fsync": f"waits for {_COMMITS} flushes of the disk; a disk that flushes faster shortens it",
        "network": f"waits for {_COMMITS} ways to the database and back; a node nearer to it shortens it",
        "cpu": "is work of node and database; a faster core shortens it",
    }[binds]
    return binds, f"One run at a time takes {seen.one_step_ms:.2f} ms; {share:.0%} of that {why}."


def _waiting(seen: Seen) -> dict[str, float]:
    """Milliseconds of a one-step run that are spent waiting, by what for. Never more than it takes."""
    network = min(seen.one_step_ms, _COMMITS * seen.round_trip_ms)
    # A bare commit one after the other is the way, the flush, and a little CPU.
    flush_ms = 1000 / seen.flushes_per_s if seen.flushes_per_s else max(0.0, seen.commit_ms - seen.round_trip_ms)
    return {"network": network, "fsync": min(seen.one_step_ms - network, _COMMITS * flush_ms)}


def _throughput(seen: Seen) -> tuple[str, str]:
    steps = seen.steps
    said = (
        f"100 runs at a time make {steps.per_s:,.0f} durable steps a second, {steps.per_s / seen.bare_per_s:.0%} of "
        "the bare rows that the database takes"
    )
    if steps.node_cores >= _BUSY:
        more = " More nodes on the same PostgreSQL add to it." if seen.store == "postgresql" else ""
        return "cpu", f"{said}; the node is busy with {steps.node_cores:.1f} of its one core.{more}"
    if steps.cores >= _BUSY * seen.cores:
        return "cpu", f"{said}; {steps.cores:.1f} of {seen.cores} cores are busy, node and database together."
    if seen.load_after > seen.cores:
        return "cpu", f"{said}; others want the cores as well (load average {seen.load_after:.1f} on {seen.cores})."
    waiting = _waiting(seen)
    binds = "network" if waiting["network"] > waiting["fsync"] else "fsync"
    what = "the way to the database" if binds == "network" else "the flush of each commit"
    return binds, (
        f"{said}; the node uses {steps.node_cores:.1f} of a core and waits otherwise for {what}. More runs at a time "
        "share a commit and go further."
    )


def _limits(seen: Seen, events_per_s: float) -> tuple[list[str], str]:
    if events_per_s < seen.runs_per_s * _BUSY:
        return ["limits.max_rps"], (
            f"limits.max_rps lets {events_per_s:,.0f} events a second in, and {seen.runs_per_s:,.0f} runs of one step "
            "a second were made: the limit binds first. Raise it if more is to come in; HTTP costs CPU as well."
        )
    return [], (
        f"limits.max_rps ({events_per_s:,.0f}/s) is above, or near, the {seen.runs_per_s:,.0f} runs of one step "
        "a second that were made: the machine binds before the limit."
    )


def _warnings(seen: Seen) -> list[str]:
    found = []
    if max(seen.load_before, seen.load_after) > seen.cores:
        found.append(
            f"Others worked here meanwhile (load average {max(seen.load_before, seen.load_after):.1f} on {seen.cores} "
            "cores): rates are too low and waits too long."
        )
    if seen.file_system in ("tmpfs", "ramfs"):
        found.append(f"The database is on {seen.file_system}: nothing in it survives a restart of the machine.")
    elif seen.flushes_per_s > _NO_FLUSH_PER_S:
        found.append(
            f"The disk says it kept {seen.flushes_per_s:,.0f} appends a second: it may answer before it has. See "
            "whether its cache survives a loss of power."
        )
    if not seen.server_here:
        found.append("PostgreSQL runs elsewhere: its CPU is not in the figures.")
    elif seen.store == "postgresql":
        found.append("The CPU is that of all of this PostgreSQL server, whatever else it did meanwhile.")
    return found
