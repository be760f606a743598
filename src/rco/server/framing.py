"""What must hold of the head of any request, whoever sends it. The server below is lenient; this is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from itertools import chain
from typing import Any

from rco.errors import Reason, Refused
from rco.kit.ids import well_formed_corr_id

__all__ = ["App", "Head", "Receive", "Scope", "Send", "read_head"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS_CAP = 64
HEADERS_CAP_BYTES = 16 << 10
_HOST, _LENGTH, _TRANSFER, _TYPE, _ENCODING, _CORR = range(6)
_PLACE = {
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"transfer-encoding": _TRANSFER,
    b"content-type": _TYPE,
    b"content-encoding": _ENCODING,
    b"x-corr-id": _CORR,
}
UNKNOWN_LENGTH = -1


class Head:
    """The head of one request.

    ``corr_id`` is the caller's when it is well formed, else empty. ``length`` is -1 when the body is chunked or not
    announced. ``fault`` is why the request cannot be served, or ``None``.
    """

    __slots__ = ("content_encoding", "content_type", "corr_id", "fault", "length")

    def __init__(self) -> None:
        self.corr_id = ""
        self.content_type: bytes | None = None
        self.content_encoding: bytes | None = None
        self.length = UNKNOWN_LENGTH
        self.fault: Refused | None = None


def read_head(headers: list[tuple[bytes, bytes]]) -> Head:
    """Look at the headers once. Never raises: the answer to a broken head needs its correlation id too.

    Faults: ``HEADER_LIMIT`` (more than 64 headers, or 16 KiB of them); ``MALFORMED``: ``host`` (not exactly one, or
    empty), ``length`` (twice, or not 1 to 15 ASCII digits), ``framing`` (``Content-Length`` with
    ``Transfer-Encoding``, RFC 9112 section 6.3, or a coding other than ``chunked``), ``header_repeated``.
    """
    head = Head()
    if len(headers) > HEADERS_CAP:
        head.fault = Refused(Reason.HEADER_LIMIT, "headers_count")
        return head
    once = dict(headers)
    if len(once) == len(headers):
        _read_once(head, once, len(b"".join(chain.from_iterable(headers))))
    else:
        _read_each(head, headers)
    return head


def _read_once(head: Head, found: dict[bytes, bytes], size_bytes: int) -> None:
    """Of headers that each come once, as nearly all do."""
    corr_id = found.get(b"x-corr-id")
    if corr_id and len(corr_id) <= 64 and well_formed_corr_id(text := corr_id.decode("latin-1")):
        head.corr_id = text
    if size_bytes > HEADERS_CAP_BYTES:
        head.fault = Refused(Reason.HEADER_LIMIT, "headers_size")
    elif not found.get(b"host"):
        head.fault = Refused(Reason.MALFORMED, "host")
    else:
        _read_framing(head, found.get(b"content-length"), found.get(b"transfer-encoding"))
    head.content_type, head.content_encoding = found.get(b"content-type"), found.get(b"content-encoding")


def _read_each(head: Head, headers: list[tuple[bytes, bytes]]) -> None:
    """The same of headers of which one comes again."""
    found: list[bytes | None] = [None, None, None, None, None, None]
    size_bytes = 0
    repeated = ""
    for name, value in headers:
        size_bytes += len(name) + len(value)
        place = _PLACE.get(name)
        if place is not None:
            if found[place] is not None:
                repeated = "host" if place == _HOST else "length" if place == _LENGTH else "header_repeated"
            found[place] = value
    corr_id = found[_CORR]
    if corr_id and not repeated and len(corr_id) <= 64 and well_formed_corr_id(text := corr_id.decode("latin-1")):
        head.corr_id = text
    if size_bytes > HEADERS_CAP_BYTES:
        head.fault = Refused(Reason.HEADER_LIMIT, "headers_size")
    elif repeated or not found[_HOST]:
        head.fault = Refused(Reason.MALFORMED, repeated or "host")
    else:
        _read_framing(head, found[_LENGTH], found[_TRANSFER])
    head.content_type, head.content_encoding = found[_TYPE], found[_ENCODING]


def _read_framing(head: Head, length: bytes | None, transfer: bytes | None) -> None:
    if length is not None:
        if not 0 < len(length) <= 15 or not length.isdigit():
            head.fault = Refused(Reason.MALFORMED, "length")
        elif transfer is not None:
            head.fault = Refused(Reason.MALFORMED, "framing")
        else:
            head.length = int(length)
    elif transfer is not None and transfer.lower() != b"chunked":
        head.fault = Refused(Reason.MALFORMED, "framing")
