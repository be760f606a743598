"""The table at the end of the demo."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from examples.orders.compare import DOUBLED, LOST, STRAY, Finding, percentiles
from examples.orders.records import Effect, Evidence, Told

__all__ = ["Result", "print_report"]

_SHOWN = 20


@dataclass(frozen=True)
class Result:
    """What a demo run gave."""

    told: list[Told]
    effects: list[Effect]
    seen: int
    evidence: Evidence
    findings: list[Finding]
    verified: bool
    verdict: str
    """What the offline check said."""
    still_open: int

    @property
    def passed(self) -> bool:
        return self.verified and not self.findings and not self.still_open


def print_report(console: Console, result: Result) -> None:
    """Print what was compared and whether it agrees."""
    told = result.told
    answered = [one for one in told if one.status]
    accepted = [one for one in answered if one.status == 202]
    new = [one for one in accepted if not one.duplicate]
    refused = Counter(f"{one.status} {one.reason}" for one in answered if one.status != 202)
    runs = list(result.evidence.runs.values())
    calls = [one for one in result.evidence.decisions if one["verb"] == "call"]
    retries = sum(one["verb"] == "retry" for one in result.evidence.decisions)
    effects = Counter(one.effect for one in result.effects if one.effect)
    kinds = Counter(finding.kind for finding in result.findings)

    table = Table(title="Three records compared", title_justify="left", show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("webhooks sent", str(len(told)), f"{len(told) - len(answered)} got no answer and were sent again")
    table.add_row("accepted", str(len(accepted)), f"{len(new)} new, {len(accepted) - len(new)} known as duplicates")
    table.add_row("refused", str(refused.total()), ", ".join(f"{n} {reason}" for reason, n in refused.most_common()))
    table.add_section()
    outcomes = Counter(run.outcome or "open" for run in runs)
    table.add_row("runs closed", str(len(runs) - outcomes["open"]), _listed(outcomes))
    table.add_row("", "", _listed(Counter(run.workflow for run in runs)))
    table.add_row("calls", str(len(calls)), f"{result.seen} requests seen by the services")
    table.add_row("retries", str(retries), "after 503, a lost answer or the kill")
    table.add_row("effects", str(effects.total()), _listed(effects))
    table.add_section()
    for kind, hint in (
        (LOST, "promised and not there"),
        (DOUBLED, "there more than once"),
        (STRAY, "there and not asked for"),
    ):
        table.add_row(kind, _verdict(not kinds[kind], str(kinds[kind])), hint)
    table.add_row("evidence", _verdict(result.verified, "verified" if result.verified else "BROKEN"), result.verdict)
    table.add_section()
    fulfilled = [run for run in runs if run.workflow == "fulfil" and run.closed_us]
    accept = percentiles([one.took_ms for one in new])
    close = percentiles([(run.closed_us - run.opened_us) / 1000 for run in fulfilled])
    table.add_row("accept", f"{accept[0]:.0f} ms", f"p50; p95 {accept[1]:.0f} ms, p99 {accept[2]:.0f} ms")
    hint = f"p50; p95 {close[1]:.0f} ms, p99 {close[2]:.0f} ms, with a timer of 500 ms and over the kill"
    table.add_row("event to close", f"{close[0]:.0f} ms", hint)
    console.print(table)
    if result.still_open:
        console.print(f"[red]{result.still_open} runs are still open[/red]")
    for finding in result.findings[:_SHOWN]:
        console.print(f"[red]{finding.kind}[/red]: {finding.what}")
    if len(result.findings) > _SHOWN:
        console.print(f"… and {len(result.findings) - _SHOWN} more")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common() if count)


def _verdict(good: bool, text: str) -> str:
    return f"[green]{text}[/green]" if good else f"[bold red]{text}[/bold red]"
