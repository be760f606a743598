"""Journal records as the export shows them: what they say in ``body``, what authors put into them in ``payload``.

A payload is shown by its digest unless it is asked for: the digest tells whether two are the same and proves one that
is shown elsewhere, and no input, result or reason leaves the database by accident.
"""

from __future__ import annotations

import base64
import math
from typing import Any

from rco.kit.canonical import canonical_json
from rco.kit.digest import content_address
from rco.kit.ids import id_text
from rco.model.journal import Kind, Record
from rco.model.payload import Reference
from rco.store.contract.reader import Segment

__all__ = ["jsonable", "payload", "record_line"]

DEPTH_MAX = 1000


def jsonable(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON can carry it: bytes as ``{"$bytes": base64}``, a map with other keys than text as
    ``{"$map": [[key, value], ...]}``, a number that is none as ``{"$float": "nan"}``, what is in the object store as
    ``{"$payload": {name, b3, size_bytes, form}}``, the rest as it is.

    Raises ``ValueError`` for what is nested deeper than ``DEPTH_MAX``.
    """
    if depth > DEPTH_MAX:
        raise ValueError(f"nested deeper than {DEPTH_MAX}")
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: jsonable(inner, depth + 1) for key, inner in value.items()}
        return {"$map": [[jsonable(key, depth + 1), jsonable(inner, depth + 1)] for key, inner in value.items()]}
    if isinstance(value, (list, tuple)):
        return [jsonable(inner, depth + 1) for inner in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Reference):
        kept = {"name": value.name.hex(), "b3": "b3:" + value.digest.hex(), "size_bytes": value.size_bytes}
        return {"$payload": {**kept, "form": "json" if value.json else "msgpack"}}
    return {"$other": type(value).__name__}


def payload(value: Any, shown: bool) -> dict[str, Any]:
    """``{b3, size_bytes}`` of the canonical JSON (RFC 8785) of ``value``, and the ``value`` itself when ``shown``.
    What is kept elsewhere says so: ``by_reference``."""
    plain = jsonable(value)
    text = canonical_json(plain)
    told: dict[str, Any] = {"b3": content_address(text), "size_bytes": len(text)}
    if isinstance(value, Reference):
        # What the digest is of is the reference, not what somebody who read the value has seen.
        told["by_reference"] = True
    if shown:
        told["value"] = plain
    return told


def record_line(run: str, seq: int, within: Segment, record: Record, shown: bool) -> dict[str, Any]:
    """One record of the segment ``within`` as a line of the export.

    A kind that this release does not know is ``KIND_<number>``, all payload.
    """
    try:
        kind = Kind(record.kind)
    except ValueError:
        name = f"KIND_{record.kind}"
        body: dict[str, Any] = {}
        withheld: dict[str, Any] = {"body": record.body}
    else:
        name = kind.name
        body, withheld = _parts(kind, record.body)
    return {
        "line": "record",
        "run": run,
        "seq": seq,
        "chain": within.chain,
        "n": within.n,
        "at_us": record.at_us,
        "kind": name,
        "key": record.key,
        "fp": record.fp.hex(),
        "body": body,
        "payload": {field: payload(value, shown) for field, value in withheld.items()},
    }


def _parts(kind: Kind, body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What may be shown of a body, and what is an author's or a caller's."""
    match kind:
        case Kind.START:
            return _start(body)
        case Kind.STEP_INTENT:
            return {"attempt": body}, {}
        case Kind.STEP_END:
            ok, value, attempts = body
            said: dict[str, Any] = {"ok": bool(ok), "attempts": attempts}
            if ok and isinstance(value, dict) and {"status", "headers", "body", "b3"} <= value.keys():
                said["call"] = {
                    "status": value["status"],
                    "b3": value["b3"],
                    "fallback": bool(value.get("fallback")),
                }
            elif not ok and isinstance(value, dict):
                said["error"] = {name: value.get(name, "") for name in ("code", "kind")}
            return said, {"value": value}
        case Kind.STEP_RETRY:
            attempt, due_us, error = body
            told = {name: error.get(name, "") for name in ("code", "kind")}
            return {"attempt": attempt, "due_us": due_us, "error": told}, {"error": error}
        case Kind.TIMER_SET:
            return {"due_us": body}, {}
        case Kind.WAIT:
            return _picked(body, ("signal", "type", "due_us"), ("subject",))
        case Kind.MESSAGE:
            taken, name, value = body
            if isinstance(taken, bytes):
                return {"child": id_text(taken), "outcome": value[0]}, {"value": value[1]}
            return {"message_id": taken, "name": name}, {"value": value}
        case Kind.CHILD:
            return {"child": id_text(body[0]), "workflow": body[1]}, {}
        case Kind.EMIT:
            return {"event_id": body[0], "type": body[1]}, {"subject": body[2]}
        case Kind.BEGIN:
            return dict(body), {}
        case Kind.PATCH:
            return {"name": body}, {}
        case Kind.VERSION:
            return _picked(body, ("from", "to", "actor", "move"), ())
        case Kind.STATE:
            return {"name": body[0]}, {"value": body[1]}
        case Kind.ATTRIBUTE:
            return {"name": body[0], "type": body[1]}, {"value": body[2] if body[2] is not None else body[3]}
        case Kind.CANCEL | Kind.PAUSE | Kind.RESUME:
            return _picked(body, ("message_id", "actor"), ("reason",))
        case Kind.COMPENSATE:
            return _picked(body, ("steps",), ("cause",))
        case Kind.SETTLED:
            return _picked(body, ("verdict", "actor"), ("reason",))
        case Kind.OWNER:
            return {"epoch": body["epoch"] if isinstance(body, dict) else body}, {}
        case Kind.CLOSE:
            return {"outcome": body[0]}, {"value": body[1]}
        case _:
            return {}, {} if body is None else {"body": body}


def _start(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = ("workflow", "version", "namespace", "actor", "corr_id", "trace", "event_id", "parent_key")
    said = {name: body[name] for name in names if body.get(name)}
    if body.get("parent"):
        said["parent"] = id_text(body["parent"])
    if body.get("queue"):
        said["queue"] = body["queue"]
    origin = body.get("origin")
    if origin:
        said["origin"] = {"run": id_text(origin["run"]), "step": origin["step"], "copied": origin["copied"]}
    return said, {"input": body.get("input")}


def _picked(
    body: dict[str, Any], shown: tuple[str, ...], kept: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        {name: body[name] for name in shown if body.get(name) is not None},
        {name: body[name] for name in kept if body.get(name) is not None},
    )
