"""What the suite kills, and where: the plan alone says how many deaths there are at least."""

from __future__ import annotations

__all__ = ["POINTS", "RANDOM_KILLS", "RANDOM_SEEDS", "SERVE_KILLS"]

_TRANSACTION = ("before-begin", "after-begin", "inside", "before-seal", "sealed", "before-commit", "after-commit")
_HOLDS = (
    *("START", "EVENT", "SENT", "TAKEN", "WAITER", "STEP_END", "STEP_RETRY", "TIMER_SET", "TIMER_FIRED", "WAIT"),
    *("MESSAGE", "CHILD", "EMIT", "STATE", "COMPENSATE", "CANCEL", "CLOSE", "PARKED", "HOT"),
)
POINTS = [
    *(f"migrate.{point}" for point in ("before-begin", "after-begin", "inside", "before-commit", "after-commit")),
    *(f"takeover.{point}" for point in ("after-begin", "inside", "before-commit", "after-commit")),
    *("file.key", "file.before-token", "file.token"),
    *(f"commit.{point}" for point in _TRANSACTION),
    *(f"commit.{point}/{held}" for held in _HOLDS for point in ("before-commit", "after-commit")),
    *(f"commit.{point}/CLOSE" for point in ("inside", "before-seal", "sealed")),
    *("callback", "callback/_committed", "callback/closed", "callback/_parked", "callback/_flushed"),
    *("callback/_begin_if", "callback/_deliver_if"),
    *("call.before/POST", "call.sent/POST", "call.answered/POST", "call.read/POST", "call.failed/POST"),
    *(f"engine.{point}" for point in ("attempt-begins/book", "attempt-done/book", "end-collected/book")),
    *(f"engine.{point}" for point in ("retry-collected", "retry-due", "timer-due", "timer-collected")),
    *("engine.message-here/signal", "engine.message-collected/signal", "engine.message-collected/event"),
    *("engine.child-collected", "engine.child-begins", "engine.parent-told", "engine.parent-late"),
    *("engine.close-begins", "engine.close-collected", "engine.park-collected", "engine.parked", "engine.wake-due"),
    *("engine.revive-begins", "engine.journal-read", "engine.replayed"),
]
"""See ``tests.crash.traps`` for what each of them means."""
RANDOM_SEEDS = (1, 2, 3, 4)
RANDOM_KILLS = 25
"""Of nodes, for each seed."""
SERVE_KILLS = 24
"""Of ``rco serve``."""
