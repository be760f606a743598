"""The fields a log line may have: an allow-list. What is not named here is not written."""

from __future__ import annotations

__all__ = ["ALWAYS", "FIELDS"]

ALWAYS: dict[str, str] = {
    "timestamp": "when, RFC 3339 in UTC",
    "level": "debug, info, warning or error",
    "trace_id": "W3C trace identity, 32 hexadecimal digits",
    "request_id": "identity of the request within this service",
    "user_id": "keyed pseudonym of the principal, never the name",
    "route": "route template, never the path as sent",
    "code": "status of the answer, or the code of the error",
}
"""Present in every line, empty where they do not apply."""

FIELDS: dict[str, str] = ALWAYS | {
    "ts": "the same as timestamp, under the bridge's name for it",
    "service": "which service writes",
    "event": "what happened, a fixed word",
    "reason": "why, a fixed word or one short sentence",
    "corr_id": "correlation id, over all services",
    "span_id": "W3C span identity",
    "method": "HTTP method",
    "status": "HTTP status",
    "latency_ms": "how long it took",
    "provider": "name of the webhook provider",
    "req_id": "the provider's identity of the delivery",
    "b3_hash": "digest of the payload",
    "size_bytes": "size of the payload",
    "secret_id": "which secret matched, by its name",
    "sig_alg": "signature scheme",
    "detail": "detail of a refusal, a fixed word",
    "run": "run id",
    "workflow": "name of the workflow",
    "version": "version of the workflow or of the service",
    "step": "step key",
    "attempt": "number of the attempt",
    "attempts": "how many attempts there are",
    "outcome": "how it ended",
    "target": "name of the target",
    "limit": "which limit held",
    "subscription": "name of the subscription",
    "schedule": "name of the schedule",
    "queue": "name of the queue",
    "namespace": "tenant",
    "type": "type of a CloudEvent",
    "mode": "mode of a run",
    "node": "name of the node",
    "epoch": "ownership epoch",
    "n": "number of the commit",
    "count": "how many",
    "dropped": "how many were dropped",
    "due": "when it is due, RFC 3339",
    "file": "name of a file: of the configuration, or the one with the first administrator's token",
    "line": "line in that file",
    "key": "key in that file",
    "address": "address listened on",
    "logger": "the library that speaks",
    "error": "name of the error's type",
    "where": "module, function and line that raised it",
    "cure": "what to do about it",
}
"""Every field that may be written, and what it holds."""
