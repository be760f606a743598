"""The probe that a target declares: asked for every call to it that may not be repeated and has none of its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from rco.expr.jq import Expression
from rco.kit.ids import id_text
from rco.model.effect import Answer, Attempt, EffectFailed
from rco.model.probe import Applied, NotApplied, Probing
from rco.model.probe_template import ProbeTemplate
from rco.model.target import CallRequest, TargetProbe
from rco.workflow.calls import Caller

__all__ = ["declared_probe"]


def declared_probe(declared: TargetProbe, caller: Caller, request: CallRequest) -> Probing:
    """As the engine knows it, for this call. Expressions and template were checked with the configuration."""
    template = ProbeTemplate.compile(declared.get)
    applied, value = Expression.compile(declared.applied), Expression.compile(declared.value)

    async def ask(attempt: Attempt) -> Answer:
        words = _words(request, attempt)
        # What has no text, or is not there, cannot be asked for: better no answer than one about something else.
        path, query = template.filled(words, lambda text: quote(text, safe=""))
        asked = CallRequest(target=request.target, method="GET", path=path, query=query)
        try:
            answer = await caller.attempt(asked, attempt)
        except EffectFailed as problem:
            status = problem.data.get("status") if isinstance(problem.data, dict) else None
            if status in declared.not_done:
                return Answer(NotApplied(), problem.decisions)
            if status in declared.done:
                body = problem.data.get("body") if isinstance(problem.data, dict) else None
                told = {"status": status, "headers": {}, "body": body, "b3": "", "fallback": False}
                return Answer(_judged(told), problem.decisions)
            raise
        if answer.value["status"] in declared.not_done:
            return Answer(NotApplied(), answer.decisions)
        if declared.done and answer.value["status"] not in declared.done:
            return Answer(None, answer.decisions)
        return Answer(_judged(answer.value), answer.decisions)

    def _judged(told: dict[str, Any]) -> Applied | NotApplied:
        body = told["body"]
        return Applied({**told, "body": value.first(body)}) if applied.truthy(body) else NotApplied()

    return Probing(ask, declared.grace_s, declared.absent, declared.attempts)


def _words(request: CallRequest, attempt: Attempt) -> dict[str, Any]:
    return {
        "idempotency_key": attempt.idempotency_key,
        "run_id": id_text(attempt.run_id),
        "corr_id": attempt.corr_id,
        "body": request.json,
        "query": request.query,
    }
