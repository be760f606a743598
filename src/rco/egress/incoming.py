"""What comes back: the body read under a cap and turned into plain data."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from rco.egress.redaction import REDACTED, Redaction, TooDeep
from rco.egress.verdict import Verdict

if TYPE_CHECKING:
    from rco.egress.wire import Reply

__all__ = ["ERROR_BODY_BYTES", "Unusable", "plain_body", "read_capped", "shortened"]

ERROR_BODY_BYTES = 4096
"""How much of the body of a refusal goes into the error a workflow meets."""

_SECRET_MIN = 8
"""Shorter secrets are not looked for in answers: they would be found everywhere."""

_decode = msgspec.json.Decoder().decode


class Unusable(Exception):
    """An answer came that cannot be taken. ``reason`` is a word."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


async def read_capped(reply: Reply, limit_bytes: int) -> bytes:
    """The body as it came over the wire. Raises ``Unusable`` when it is encoded or larger than ``limit_bytes``.

    We ask for ``identity``; who answers encoded all the same is refused instead of decompressed.
    """
    encoding = reply.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise Unusable("answer_encoded", "the answer is compressed although identity was asked for")
    declared = reply.content_length
    if declared is not None and declared > limit_bytes and reply.method != "HEAD":
        raise Unusable("answer_too_large", f"the answer takes {declared} bytes; the target allows {limit_bytes}")
    stream = reply.content
    first = await stream.readany()
    if stream.at_eof():
        if len(first) > limit_bytes:
            raise Unusable("answer_too_large", f"the answer takes {len(first)} bytes; the target allows {limit_bytes}")
        return first
    parts, size = [first], len(first)
    while size <= limit_bytes:
        part = await stream.readany()
        if not part and stream.at_eof():
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    raise Unusable("answer_too_large", f"the answer takes more than the {limit_bytes} bytes that the target allows")


def plain_body(raw: bytes, content_type: str, redaction: Redaction, secret: str) -> tuple[Any, bool]:
    """The redacted body as plain data, and whether it is base64 because it is no text. An empty body is ``None``.

    JSON by its content type (``application/json``, ``+json``) is decoded; what then is not JSON after all, or is nested
    too deep to be looked through, is treated as text.
    """
    if not raw:
        return None, False
    if len(secret) >= _SECRET_MIN:
        raw = raw.replace(secret.encode(), REDACTED.encode())
    is_json, encoding = _kind_of(content_type)
    if is_json:
        try:
            return redaction.value(_decode(raw)), False
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TooDeep):
            pass
    try:
        return redaction.text(raw.decode(encoding)), False
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode(), True


@lru_cache(maxsize=256)
def _kind_of(content_type: str) -> tuple[bool, str]:
    """Whether it says JSON, and how text of it is decoded."""
    essence, _, parameters = content_type.partition(";")
    essence = essence.strip().lower()
    latin = "8859-1" in parameters and essence.startswith("text/")
    return essence == "application/json" or essence.endswith("+json"), "latin-1" if latin else "utf-8"


def shortened(verdict: Verdict, raw: bytes, content_type: str, redaction: Redaction, secret: str) -> Verdict:
    """``verdict`` with a refusal's body as its value: redacted, and shortened to ``ERROR_BODY_BYTES`` of text."""
    body, _ = plain_body(raw, content_type, redaction, secret)
    if len(raw) > ERROR_BODY_BYTES and body is not None:
        text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
        body = text[:ERROR_BODY_BYTES]
    return msgspec.structs.replace(verdict, value=body)
