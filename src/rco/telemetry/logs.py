"""Logs: one JSON object a line, made only of fields that are known to be harmless.

Whoever logs cannot leak by mistake: a field that is not in ``rco.telemetry.fields`` is dropped, a value that is not a
short text, a number or a boolean is dropped, an exception is reduced to its type and place, the user becomes a keyed
pseudonym, and text that has the shape of a credential is masked. Nothing raises: a line that cannot be written is
counted.
"""

from __future__ import annotations

import logging
import re
from enum import IntEnum
from pathlib import PurePath
from typing import Any, Protocol

import msgspec

from rco.kit.clock import Clock, iso
from rco.kit.digest import keyed_digest
from rco.telemetry.fields import ALWAYS, FIELDS

__all__ = ["MAX_VALUE_CHARS", "PSEUDONYM_KEY_BYTES", "Level", "LineStream", "Log", "bridge_stdlib"]

PSEUDONYM_KEY_BYTES = 32
MAX_VALUE_CHARS = 500
"""Longer text is cut here."""
_MASK = "***"
# A second net below the allow-list, for text that a library or an author put together.
_CREDENTIAL = re.compile(
    r"(?i)\bbearer\s+[a-z0-9._~+/=-]{6,}|\b(?:basic|token)\s+[a-z0-9._~+/=-]{16,}"
    r"|\bwhsec_\S+|\b(?:gh[pousr]|github_pat|glpat|xox[abpr]|sk|rk|pk)[_-][a-z0-9_-]{8,}"
    r"|\beyJ[a-z0-9_-]{8,}\.[a-z0-9._-]+"
    r"|(?<=://)[^/\s@]+@"
    r"|\bauthorization\s*[=:].*"
    r"|(?:password|passwd|secret|api[_-]?key|signature)\s*[=:]\s*\S+"
    r"|-----BEGIN[^-]+-----"
)
# JSON escapes what ends a line for a machine; these end one for some readers too, and are not escaped.
_LINE_ENDS = dict.fromkeys((*range(0x7F, 0xA0), 0x2028, 0x2029), " ")
_encode = msgspec.json.Encoder().encode


class Level(IntEnum):
    """How loud, with the numbers of the standard library."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class LineStream(Protocol):
    """Where lines go: standard error, a file, a test's buffer."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class _Sink:
    """What all bound logs of one service share."""

    __slots__ = ("clock", "fields_dropped", "key", "level", "lines_lost", "readable", "stream")

    def __init__(self, stream: LineStream, clock: Clock, level: Level, key: bytes, readable: bool) -> None:
        self.stream, self.clock, self.level, self.key, self.readable = stream, clock, level, key, readable
        self.lines_lost = 0
        self.fields_dropped = 0


class Log:
    """Writes lines. Poured in; ``bind`` gives one that adds fields to each of its lines.

    ``pseudonym_key`` is 32 secret bytes: with another key the same user has another pseudonym. ``user_id`` is given as
    it is known inside and never written as such. ``readable`` writes lines for people instead of JSON, with the same
    fields.
    """

    __slots__ = ("_bound", "_sink")

    def __init__(
        self,
        stream: LineStream,
        clock: Clock,
        *,
        pseudonym_key: bytes,
        service: str = "rco",
        level: Level = Level.INFO,
        readable: bool = False,
    ) -> None:
        if len(pseudonym_key) != PSEUDONYM_KEY_BYTES:
            raise ValueError(
                f"the pseudonym key has {len(pseudonym_key)} bytes; give {PSEUDONYM_KEY_BYTES} random ones"
            )
        self._sink = _Sink(stream, clock, level, pseudonym_key, readable)
        self._bound: dict[str, Any] = self._clean({"service": service})

    def bind(self, **fields: Any) -> Log:
        """A log that adds ``fields`` to every line; a field given with a line wins."""
        bound = object.__new__(Log)
        bound._sink = self._sink
        bound._bound = self._bound | self._clean(fields)
        return bound

    def debug(self, event: str, **fields: Any) -> None:
        """As ``info``, for what only a developer wants."""
        self._write(Level.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write that ``event`` (a fixed word such as ``run.closed``) happened. Never raises."""
        self._write(Level.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """As ``info``, for what somebody should look at some day."""
        self._write(Level.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """As ``info``, for what somebody must look at. ``error=`` takes the exception itself."""
        self._write(Level.ERROR, event, fields)

    @property
    def lines_lost(self) -> int:
        """Lines that could not be written, since the first log of this service was made."""
        return self._sink.lines_lost

    @property
    def fields_dropped(self) -> int:
        """Fields that were not written because they are not on the list, or hold what may not be logged."""
        return self._sink.fields_dropped

    def _write(self, level: Level, event: str, fields: dict[str, Any]) -> None:
        sink = self._sink
        if level < sink.level:
            return
        try:
            now = iso(sink.clock.now_us())
            line = dict.fromkeys(ALWAYS, "") | {"timestamp": now, "ts": now, "level": level.name.lower()}
            line |= self._bound | self._clean({"event": event, **fields})
            sink.stream.write((_readable(line) if sink.readable else _encode(line).decode()) + "\n")
            sink.stream.flush()
        except Exception:  # noqa: BLE001  (a full disk or a closed pipe must not stop the work that is logged)
            sink.lines_lost += 1

    def _clean(self, fields: dict[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in fields.items():
            if name in ("timestamp", "ts", "level") or name not in FIELDS:
                self._sink.fields_dropped += 1
            elif name == "user_id":
                kept[name] = self._pseudonym(value)
            elif isinstance(value, BaseException):
                kept |= _of_exception(value)
            elif value is None or isinstance(value, (bool, int, float)):
                kept[name] = value
            elif isinstance(value, str):
                kept[name] = _harmless(value)
            else:
                self._sink.fields_dropped += 1
        return kept

    def _pseudonym(self, user: object) -> str:
        if user is None or user == "":
            return ""
        known_as = str(user).encode(errors="backslashreplace")
        return "u_" + keyed_digest(self._sink.key, b"rco log user v1" + known_as).hex()[:24]


def _readable(line: dict[str, Any]) -> str:
    """One line for people: time, level, what happened, and the fields that say something."""
    skipped = ("timestamp", "ts", "level", "event", "service")
    told = " ".join(
        f"{name}={value}" for name, value in line.items() if name not in skipped and value not in ("", None)
    )
    text = f"{line['timestamp'][11:23]} {line['level']:7} {line['event']} {told}".rstrip()
    # JSON escapes control characters by itself; a terminal would obey them.
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _harmless(text: str) -> str:
    # Cut first: the mask then costs no more than a bounded text, whatever came in.
    short = text[:MAX_VALUE_CHARS].encode(errors="backslashreplace").decode().translate(_LINE_ENDS)
    return _CREDENTIAL.sub(_MASK, short)


def _of_exception(error: BaseException) -> dict[str, Any]:
    """The type and the place of an error. Its message may hold what it was working on, so it is not written."""
    found: dict[str, Any] = {"error": type(error).__name__}
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        frame = trace.tb_frame
        module = frame.f_globals.get("__name__", PurePath(frame.f_code.co_filename).name)
        found["where"] = _harmless(f"{module}:{frame.f_code.co_name}:{trace.tb_lineno}")
    return found


class _Bridge(logging.Handler):
    """Gives the records of the standard library to a ``Log``: the template of the message, never its arguments."""

    def __init__(self, log: Log, level: Level) -> None:
        super().__init__(level)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, "where": f"{record.module}:{record.funcName}:{record.lineno}"}
        template = record.msg
        if isinstance(template, str):
            fields["reason"] = template.partition("\n")[0]
        if record.exc_info and record.exc_info[1] is not None:
            fields |= _of_exception(record.exc_info[1])
        elif isinstance(template, BaseException):
            fields |= _of_exception(template)
        if record.levelno >= Level.ERROR:
            self._log.error("library", **fields)
        elif record.levelno >= Level.WARNING:
            self._log.warning("library", **fields)
        else:
            self._log.info("library", **fields)


def bridge_stdlib(log: Log, *, level: Level = Level.WARNING, logger: str = "") -> logging.Handler:
    """Write what libraries log from ``level`` upwards as lines of ``log``, and nowhere else.

    Replaces the handlers of ``logger`` (default: the root). Returns the handler, to be removed at the end. A second
    call replaces the first. What a library puts into its message by itself (not as an argument) is cut and masked.
    """
    handler = _Bridge(log, level)
    target = logging.getLogger(logger)
    target.handlers[:] = [handler]
    target.setLevel(min(level, logging.WARNING))
    return handler
