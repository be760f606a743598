"""The tasks that Celery's worker runs, in its own environment."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

from bench.peers.contract import NOTE

__all__ = ["app", "effect", "wake", "work"]

app = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    result_expires=600,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": int(os.environ["BENCH_VISIBILITY_S"])},
)


@app.task
def work(_: Any, number: int) -> dict[str, Any]:
    return {"number": number, "ok": True, "note": NOTE}


@app.task
def wake(due: float) -> float:
    return time.time() - due


@app.task
def effect(_: Any, run: int, step: int) -> int:
    time.sleep(0.02)
    with open(os.environ["BENCH_EFFECTS"], "a") as out:
        out.write(f"{run} {step}\n")
    return step
