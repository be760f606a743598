"""What a test is told when its workflow does not do what it should. Each says what was seen, and what to look at."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["NotDeterministic", "RunNotCompleted"]


class NotDeterministic(AssertionError):
    """A replay of the run's own journal did not ask for what the run had asked for.

    ``diff``: what was recorded, and what the code asks for instead.
    """

    def __init__(self, workflow: str, seq: int, why: str, diff: Any, *, stored: str = "") -> None:
        self.workflow, self.seq, self.diff = workflow, seq, diff
        lines = [f"{workflow} is not replayed as it ran, at record {seq}: {why}"]
        if stored:
            lines = [f"{workflow} does not fit the history in {stored}: {why}"]
        if isinstance(diff, dict):
            lines += [f"  recorded  {_text(diff.get('recorded'))}", f"  code      {_text(diff.get('code'))}"]
        lines.append(
            "Let old runs go their old way: if await ctx.patched(...); or, when no run of before is open any more, "
            "record again with --rco-update."
            if stored
            else "A workflow is run again from its journal after every restart, so with the same results it must ask "
            "for the same things in the same order. Look for what differs from one run of the code to the next: a "
            "global that is changed, the order of a set, a file, the environment, a clock or random numbers. Put it "
            "into a step, or use ctx.now(), ctx.random(), ctx.uuid()."
        )
        super().__init__("\n".join(lines))


class RunNotCompleted(AssertionError):
    """A result was asked of a run that has none. ``outcome``, ``error`` and the end of its journal say why."""

    def __init__(self, workflow: str, outcome: str, error: Any, journal: list[tuple[str, str]]) -> None:
        self.outcome, self.error = outcome, error
        told = error.get("message", "") if isinstance(error, dict) else error
        kind = error.get("kind", "") if isinstance(error, dict) else ""
        lines = [f"{workflow} is {outcome}, not completed: {kind and kind + ': '}{told}"]
        lines += [f"  {kind:<12} {key}".rstrip() for kind, key in journal[-12:]]
        super().__init__("\n".join(lines))


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode(errors="replace")
