"""Steps that succeeded had their effect, and no effect is repeated that may not be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rco.model.effect import Attempt
from rco.model.journal import Kind
from rco.testing.checks.history import History

__all__ = ["happened", "once", "probed", "repeats"]


def happened(history: History) -> Iterator[str]:
    """Each step that succeeded has its effect, once for each key."""
    by_step = Counter((done.run_id, done.step) for done in history.done)
    for key, count in Counter(done.key for done in history.done if done.key).items():
        if count > 1:
            yield f"{count} effects under the key {key}"
    for run in history.runs.values():
        for record in run.own:
            if record.kind == Kind.STEP_END and record.body[0] and not by_step[run.row.run_id, record.key]:
                yield f"{run.name}: step {record.key} succeeded without an effect"


def repeats(history: History) -> Iterator[str]:
    """One attempt is sent once by one owner; a repeat under the same number needs another owner, or a crash."""
    if history.rewinds:
        return
    for (node, run_id, step, attempt), count in Counter(
        (sent.node, sent.run_id, sent.step, sent.attempt) for sent in history.sent
    ).items():
        settled = 0
        run = history.runs.get(run_id)
        if run is not None:
            settled = sum(record.key == step for record in run.of(Kind.SETTLED))
        # Handed over and given back, an owner begins again what was under way.
        if count > 1 + settled and history.plan.nodes == 1:
            yield f"{node} sent attempt {attempt} of {step} of run {run_id.hex()} {count} times"
    for sent in history.sent:
        if sent.key != Attempt(sent.run_id, sent.step, sent.attempt).idempotency_key:
            yield f"{sent.step} of run {sent.run_id.hex()} was sent under another key"


def probed(history: History) -> Iterator[str]:
    """What a probe settles is done once in the end: not again what was done, and not taken for done what was not."""
    if history.rewinds:
        return
    done = Counter((one.run_id, one.step) for one in history.done if one.what == "paid")
    for run in history.runs.values():
        if run.row.workflow != "checked" or any(one.body["actor"] != "probe" for one in run.of(Kind.SETTLED)):
            continue
        for record in run.of(Kind.STEP_END):
            count = done[run.row.run_id, record.key]
            if record.key == "charge_once" and count != 1:
                yield f"{run.name}: {record.key} ended and had {count} effects"


def once(history: History) -> Iterator[str]:
    """What may not be repeated is sent once, and once more for each time that a person said so."""
    if history.rewinds:
        return
    for (run_id, step), count in Counter(
        (sent.run_id, sent.step) for sent in history.sent if sent.what == "paid"
    ).items():
        run = history.runs.get(run_id)
        if run is None:
            continue
        of_step = [record for record in run.records if record.key == step]
        again = sum(record.kind == Kind.SETTLED and record.body["verdict"] == "again" for record in of_step)
        refused = sum(record.kind == Kind.STEP_RETRY for record in of_step)
        if count > 1 + again + refused:
            yield f"{run.name}: {step} was sent {count} times, {refused} were refused and {again} asked for again"
        if not any(record.kind == Kind.STEP_INTENT for record in of_step):
            yield f"{run.name}: {step} was sent without an intent"
