"""Records of a decrypted segment in the form in which an export shows those of any other
(docs/reference/export-format.md): so much of it as the rules ask for."""

from __future__ import annotations

import base64
import math
import uuid
from typing import Any

import msgspec

from rco.verify.digests import content_address
from rco.verify.lines import RecordLine, SegmentLine

__all__ = ["KINDS", "record_lines", "split"]

KINDS = {
    1: "START",
    2: "STEP_INTENT",
    3: "STEP_END",
    4: "STEP_RETRY",
    5: "TIMER_SET",
    6: "TIMER_FIRED",
    7: "WAIT",
    8: "MESSAGE",
    9: "CHILD",
    10: "EMIT",
    11: "STATE",
    12: "CANCEL",
    13: "COMPENSATE",
    14: "IN_DOUBT",
    15: "SETTLED",
    16: "OWNER",
    17: "CLOSE",
    18: "PAUSE",
    19: "RESUME",
    20: "PATCH",
    21: "BEGIN",
    22: "VERSION",
    23: "ATTRIBUTE",
}


def split(data: bytes) -> list[list[Any]]:
    """The records of a segment's bytes: each is MessagePack behind its length in 4 bytes. Raises ``ValueError``."""
    found: list[list[Any]] = []
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if at + 4 > len(data) or end > len(data):
            raise ValueError(f"cut at byte {at}")
        try:
            record = msgspec.msgpack.decode(data[at + 4 : end])
        except (msgspec.DecodeError, RecursionError):
            record = None
        if not isinstance(record, list) or len(record) != 5:
            raise ValueError(f"no record at byte {at}")
        found.append(record)
        at = end
    return found


def record_lines(segment: SegmentLine, records: list[list[Any]]) -> list[RecordLine]:
    """``records`` as they stand in ``segment``. Raises ``ValueError`` for a body that is not in its form."""
    try:
        return [
            RecordLine(
                run=segment.run,
                seq=segment.first_seq + place,
                n=segment.n,
                at_us=at_us,
                kind=KINDS.get(kind, f"KIND_{kind}"),
                key=key,
                fp=fp.hex(),
                body=_body(KINDS.get(kind, ""), body),
                payload=_payload(kind, body),
                chain=segment.chain,
            )
            for place, (kind, key, at_us, fp, body) in enumerate(records)
        ]
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError) as problem:
        raise ValueError(f"a record is not in its form ({type(problem).__name__})") from None


def _payload(kind: int, body: Any) -> dict[str, dict[str, Any]]:
    # Of published values the digests are compared with what was read.
    if KINDS.get(kind) != "STATE":
        return {}
    if isinstance(body[1], msgspec.msgpack.Ext):
        return {"value": {"by_reference": True}}
    return {"value": {"b3": content_address(_plain(body[1]))}}


def _body(kind: str, body: Any) -> dict[str, Any]:
    match kind:
        case "START":
            return _start(body)
        case "STEP_INTENT":
            return {"attempt": body}
        case "STEP_END":
            return _step_end(*body)
        case "STEP_RETRY":
            return {"attempt": body[0], "due_us": body[1]}
        case "TIMER_SET":
            return {"due_us": body}
        case "MESSAGE":
            if isinstance(body[0], bytes):
                return {"child": _id(body[0]), "outcome": body[2][0]}
            return {"message_id": body[0], "name": body[1]}
        case "CHILD":
            return {"child": _id(body[0]), "workflow": body[1]}
        case "EMIT":
            return {"event_id": body[0], "type": body[1]}
        case "BEGIN":
            return dict(body)
        case "PATCH":
            return {"name": body}
        case "STATE":
            return {"name": body[0]}
        case "ATTRIBUTE":
            return {"name": body[0], "type": body[1]}
        case "OWNER":
            return {"epoch": body["epoch"] if isinstance(body, dict) else body}
        case "CLOSE":
            return {"outcome": body[0]}
        case _:
            # WAIT, CANCEL, PAUSE, RESUME, COMPENSATE, SETTLED, VERSION: named parts, of which the shown ones suffice.
            names = ("signal", "type", "due_us", "message_id", "actor", "steps", "verdict", "from", "to", "move")
            return {name: body[name] for name in names if body.get(name) is not None} if isinstance(body, dict) else {}


def _start(body: dict[str, Any]) -> dict[str, Any]:
    names = ("workflow", "version", "namespace", "actor", "corr_id", "trace", "event_id", "parent_key", "queue")
    said = {name: body[name] for name in names if body.get(name)}
    if body.get("parent"):
        said["parent"] = _id(body["parent"])
    origin = body.get("origin")
    if origin:
        said["origin"] = {"run": _id(origin["run"]), "step": origin["step"], "copied": origin["copied"]}
    return said


def _step_end(ok: Any, value: Any, attempts: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"ok": bool(ok), "attempts": attempts}
    if ok and isinstance(value, dict) and {"status", "headers", "body", "b3"} <= value.keys():
        said["call"] = {"status": value["status"], "b3": value["b3"], "fallback": bool(value.get("fallback"))}
    elif not ok and isinstance(value, dict):
        said["error"] = {name: value.get(name, "") for name in ("code", "kind")}
    return said


def _id(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw))


def _plain(value: Any) -> Any:
    """As JSON carries it in an export."""
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _plain(inner) for key, inner in value.items()}
        return {"$map": [[_plain(key), _plain(inner)] for key, inner in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, (str, int, float)):
        return value
    return {"$other": type(value).__name__}
