"""(e) No timer is early, and none is later than it may be."""

from __future__ import annotations

from rco.verify.case import Case, Run
from rco.verify.digests import idempotency_key
from rco.verify.lines import RecordLine
from rco.verify.owners import pool_of
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Timers"]

TITLE = "no timer is early, lateness is bounded"


class Timers:
    """Looks at sleeps, at deadlines of waits, and at when retries and calls after a sleep reached the target.

    Lateness counts from the due time or from the beginning of the life that fired it, whichever is later: while nobody
    owned the run, or it was paused, nobody could fire it. A timer that a lost race let go leaves no record, so of open
    runs only those that are parked are held to their due time.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found = Findings()
        self._fired = 0
        self._latest_us = 0

    def take(self, run: Run) -> None:
        due: dict[str, int] = {}
        fired: set[str] = set()
        resumed_us = 0
        for record in run.records:
            if record.kind == "TIMER_SET":
                if record.key in due:
                    self._found.add(f"{run.name}: timer {record.key} was set twice")
                due[record.key] = int(record.body["due_us"])
            elif record.kind == "WAIT" and record.body.get("due_us") is not None:
                due[record.key] = int(record.body["due_us"])
            elif record.kind == "RESUME":
                resumed_us = record.at_us
            elif record.kind == "TIMER_FIRED":
                self._fire(run, record, due, fired, resumed_us)
        self._at_the_target(run, due)
        self._overdue(run)

    def _fire(self, run: Run, record: RecordLine, due: dict[str, int], fired: set[str], resumed_us: int) -> None:
        name = f"{run.name}: timer {record.key}"
        if record.key not in due:
            self._found.add(f"{name} fired, and was never set")
            return
        if record.key in fired:
            self._found.add(f"{name} fired twice")
        fired.add(record.key)
        self._fired += 1
        due_us = due[record.key]
        if record.at_us < due_us:
            self._found.add(f"{name} fired {due_us - record.at_us} us early")
        tenure = self._case.tenure(run, record)
        late_us = record.at_us - max(due_us, tenure.since_us if tenure is not None else 0, resumed_us)
        self._latest_us = max(self._latest_us, late_us)
        if late_us > self._case.options.late_us:
            self._found.add(f"{name} fired {late_us} us late; {self._case.options.late_us} are allowed")

    def _at_the_target(self, run: Run, due: dict[str, int]) -> None:
        """What the target saw: nothing that comes after a timer in its branch, before that timer was due."""
        ledger, skew_us = self._case.ledger, self._case.options.skew_us
        if ledger is None:
            return
        latest: dict[str, tuple[int, str]] = {}
        for record in run.records:
            branch = record.key.rpartition("/")[0]
            if record.kind == "TIMER_FIRED" and record.key in due:
                latest[branch] = max(latest.get(branch, (0, "")), (due[record.key], record.key))
            elif record.kind in ("STEP_END", "STEP_RETRY", "STEP_INTENT"):
                arrivals = ledger.arrivals.get(idempotency_key(run.line.id, record.key), [])
                due_us, timer = latest.get(branch, (0, ""))
                if arrivals and min(arrivals) + skew_us < due_us:
                    early_us = due_us - min(arrivals)
                    self._found.add(
                        f"{run.name}: step {record.key} reached its target {early_us} us before timer {timer} was due"
                    )
                if record.kind == "STEP_RETRY":
                    self._retried(run, record, arrivals)

    def _retried(self, run: Run, record: RecordLine, arrivals: list[int]) -> None:
        if (record.body.get("error") or {}).get("kind") != "HttpStatus":
            # Without an answer the attempt itself may still have been on its way.
            return
        due_us, skew_us = int(record.body["due_us"]), self._case.options.skew_us
        for at_us in arrivals:
            if record.at_us + skew_us < at_us < due_us - skew_us:
                self._found.add(
                    f"{run.name}: step {record.key} was sent again {due_us - at_us} us before its retry was due"
                )

    def _overdue(self, run: Run) -> None:
        header, line = self._case.header, run.line
        if header is None or line.due_us is None or line.state != "waiting":
            return
        late_us = header.at_us - max(line.due_us, self._case.owners.last_since_us(line.id, pool_of(line.version or "")))
        if late_us > self._case.options.late_us:
            self._found.add(f"{run.name} is parked and was due {late_us} us before the export")

    def finish(self) -> RuleVerdict:
        evidence = f"{self._fired} timers fired, the latest {self._latest_us / 1000:.1f} ms late"
        return self._found.verdict("e", TITLE, Result.PASS if self._fired else Result.NOT_APPLICABLE, evidence)
