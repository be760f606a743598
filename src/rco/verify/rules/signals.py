"""(b) An acknowledged signal is taken exactly once, or listed as unread."""

from __future__ import annotations

from collections import Counter

from rco.verify.case import Case, Run
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Signals"]

TITLE = "signals are taken exactly once"


class Signals:
    """Looks at every message that a run took, and at what the client was told of signals."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found = Findings()
        self._open_asks: dict[tuple[str, str], bool] = {}
        """Acknowledged signals, by run and message: whether it was found taken or unread."""
        for asked in case.asked("signal", "acknowledged"):
            self._open_asks[asked.run_id, asked.name] = False
        self._closed: set[str] = set()

    def take(self, run: Run) -> None:
        taken = Counter(
            str(record.body["message_id"]) for record in run.of("MESSAGE", "CANCEL") if record.body.get("message_id")
        )
        unread = Counter(message.message_id for message in run.unread)
        for message_id, count in taken.items():
            if count > 1:
                self._found.add(f"{run.name} took message {message_id} {count} times")
            if unread[message_id]:
                self._found.add(f"{run.name} took message {message_id} and still lists it as unread")
        for message_id in taken.keys() | unread.keys():
            key = (run.line.id, message_id)
            if key in self._open_asks:
                self._open_asks[key] = True
        if run.line.outcome is not None:
            self._closed.add(run.line.id)

    def finish(self) -> RuleVerdict:
        for (run_id, message_id), found in self._open_asks.items():
            if not found and run_id not in self._case.encrypted:
                why = "its run has closed" if run_id in self._closed else "its run is open or not there"
                self._found.add(
                    f"signal {message_id} to run {run_id} was acknowledged, but is neither taken nor unread ({why})"
                )
        if self._case.client is None:
            return self._found.verdict("b", TITLE, Result.UNKNOWN, "no client log: only double takes were looked for")
        count = len(self._open_asks)
        word = Result.PASS if count else Result.NOT_APPLICABLE
        return self._found.verdict("b", TITLE, word, f"{count} acknowledged signals")
