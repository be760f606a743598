"""From a broker's message to an event (CloudEvents 1.0, structured or binary) or a bare value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from rco.brokers.contract import BODY_LIMIT_BYTES, Incoming
from rco.kit.clock import MICROS
from rco.model.event import Event
from rco.relay.options import SourceSettings
from rco.telemetry.trace import plain_traceparent

__all__ = ["Unreadable", "event_of"]

TEXT_LIMIT = 512
_PREFIXES = ("ce_", "ce-", "Ce-", "cloudEvents_", "cloudEvents:")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Unreadable(ValueError):
    """The message is no event. The text says why and holds nothing of it."""


def event_of(
    name: str,
    settings: SourceSettings,
    message: Incoming,
    *,
    now_us: int,
    corr_id: str,
    body_limit_bytes: int = BODY_LIMIT_BYTES,
) -> Event:
    """The event that ``message`` from the source ``name`` stands for. Raises ``Unreadable``.

    Its identity is its own where it has one, else its place in the topic. ``origin`` is the source's name.
    """
    if len(message.body) > body_limit_bytes:
        raise Unreadable(f"the body takes {len(message.body)} bytes; {body_limit_bytes} is the limit")
    attributes, data = _taken_apart(settings, message)
    type = _text(attributes, "type") or settings.type
    if not type:
        raise Unreadable("it has no type, and the source names none")
    time_us = _time_us(_text(attributes, "time"), now_us)
    return Event(
        id=_text(attributes, "id") or message.place,
        source=_text(attributes, "source") or f"/{settings.topic}",
        type=type,
        subject=_text(attributes, "subject") or message.key or None,
        data=data,
        time_us=time_us,
        received_us=now_us,
        corr_id=corr_id,
        namespace=settings.namespace,
        origin=name,
        trace=plain_traceparent(_text(attributes, "traceparent")),
    )


def _taken_apart(settings: SourceSettings, message: Incoming) -> tuple[Mapping[str, Any], bytes]:
    value = _value(message.body)
    if settings.format == "json":
        return {}, message.body
    binary = {
        header.removeprefix(prefix).lower(): text
        for header, text in message.headers.items()
        for prefix in _PREFIXES
        if header.startswith(prefix)
    }
    if "specversion" in binary:
        return _of_version(binary), message.body
    if not isinstance(value, dict) or "specversion" not in value:
        raise Unreadable("it is no CloudEvent: there is no specversion in it or in its headers")
    if "data_base64" in value:
        raise Unreadable("its data is base64; only JSON is taken")
    return _of_version(value), _encode(value.get("data"))


def _of_version(attributes: dict[str, Any]) -> dict[str, Any]:
    if attributes["specversion"] != "1.0":
        raise Unreadable("its specversion is not 1.0")
    for name in ("id", "source", "type"):
        if not _text(attributes, name):
            raise Unreadable(f"it has no {name}")
    return attributes


def _value(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("its body is not JSON") from None


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name, "")
    if not isinstance(value, str) or len(value) > TEXT_LIMIT or not value.isprintable():
        raise Unreadable(f"its {name} is no text of at most {TEXT_LIMIT} characters")
    return value


def _time_us(text: str, now_us: int) -> int:
    if not text:
        return now_us
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return round(moment.timestamp() * MICROS)
    except (ValueError, OverflowError):
        raise Unreadable("its time is none of RFC 3339") from None
